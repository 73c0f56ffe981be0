from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

import ir2search as ir
from ir2search.errors import WeightsError
from ir2search.zoo import load_onnx


@pytest.fixture(scope="module")
def file(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ir.export_trial(
        finished_run, "best", "onnx", file=tmp_path_factory.mktemp("onnx") / "a.onnx"
    ).file


def changed(file: Path, target: Path, **texts: str | None) -> Path:
    """A copy of a file whose header says something else."""
    model = onnx.load(file)
    kept = {each.key: each.value for each in model.metadata_props} | texts
    del model.metadata_props[:]
    for key, value in kept.items():
        if value is not None:
            model.metadata_props.add(key=key, value=value)
    onnx.save(model, target)
    return target


def test_a_file_says_what_its_network_and_images_are(file: Path, finished_run: Path) -> None:
    run, network = ir.Run.open(finished_run), load_onnx(file)
    assert network.candidate == run.candidate(run.pick("best"))
    assert network.images == run.data().spec("digits")
    images = np.zeros((3, *network.images.image), np.float32)
    assert network.logits(images).shape == (3, 10)


def test_a_header_that_lacks_or_contradicts_what_is_needed_is_named(
    file: Path, tmp_path: Path
) -> None:
    spec = load_onnx(file).images.as_dict()
    wrong = {
        "does not name its network": {"candidate": None},
        "does not say the mean and standard deviation": {"images": None},
        "must have a mean and a standard deviation for each of 1": {
            "images": json.dumps(spec | {"mean": [0.1, 0.2]})
        },
        "are not those of its network": {"images": json.dumps(spec | {"class_names": ["a"]})},
    }
    for message, texts in wrong.items():
        with pytest.raises(WeightsError, match=rf"b\.onnx: .*{message}.*; export the network ag"):
            load_onnx(changed(file, tmp_path / "b.onnx", **texts))


def test_a_model_that_fails_when_it_runs_is_named(file: Path, tmp_path: Path) -> None:
    """Its shapes are right, but an operation in it fails."""
    model = onnx.load(file)
    logits = model.graph.node[-1]
    assert list(logits.output) == ["logits"]
    logits.output[0] = "before"
    helper = onnx.helper
    indices = onnx.numpy_helper.from_array(np.full(10, 10, np.int64), "indices")
    model.graph.initializer.append(indices)
    model.graph.node.append(helper.make_node("Gather", ["before", "indices"], ["logits"], axis=1))
    onnx.save(model, tmp_path / "d.onnx")
    network = load_onnx(tmp_path / "d.onnx")
    with pytest.raises(WeightsError, match=r"d\.onnx: onnxruntime cannot run it: .*; export the"):
        network.logits(np.zeros((1, *network.images.image), np.float32))


def test_a_file_that_is_no_network_is_named_and_nothing_is_logged(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = file.read_bytes()
    generator = np.random.default_rng(0)
    broken = [b"", b"text", content[: len(content) // 2]]
    for _ in range(20):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 5):
            damaged[place] = generator.integers(0, 256)
        broken.append(bytes(damaged))
    refused = []
    for each in broken:
        (tmp_path / "c.onnx").write_bytes(each)
        try:
            load_onnx(tmp_path / "c.onnx")
        except ir.errors.InputError as error:
            refused.append(str(error))
    assert len(refused) >= 3
    assert all("c.onnx" in message and "\n" not in message for message in refused)
    os.mkfifo(tmp_path / "pipe.onnx")
    for name in ("pipe.onnx", "none.onnx"):
        with pytest.raises(WeightsError, match=rf"{name}: (cannot be read|no such file)"):
            load_onnx(tmp_path / name)
    assert capfd.readouterr().err == ""
