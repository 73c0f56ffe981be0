from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import ir2search as ir
from ir2search.errors import DataError, InputError, IR2SearchError
from ir2search.latency import time_on_runtime
from ir2search.runs import Run
from ir2search.runtime import read_about, read_image_spec, this_machine


def test_each_format_gives_the_logits_of_the_trial(finished_run: Path, tmp_path: Path) -> None:
    number = Run.open(finished_run).pick("best")
    candidate = Run.open(finished_run).candidate(number)
    weights = finished_run / "trials" / str(number) / "best.safetensors"
    network = ir.load_network(candidate, weights)
    images = torch.randn(4, *candidate.image)
    with torch.no_grad():
        wanted = network(images).numpy()
    sizes = {}
    for format in ("packed", "onnx", "safetensors"):  # noqa: A001
        done = ir.export_trial(finished_run, "best", format, file=tmp_path / format)
        assert done.images > 100
        assert done.largest_difference < 1e-4
        assert done.bytes == done.file.stat().st_size
        sizes[format] = done.bytes
    packed = ir.load_packed(tmp_path / "packed")
    np.testing.assert_allclose(packed.logits(images.numpy()), wanted, atol=1e-4)
    assert packed.image == candidate.image
    assert read_about(tmp_path / "packed")["candidate"] == candidate.as_dict()
    spec = read_image_spec(tmp_path / "packed")
    assert (spec.data, spec.image) == ("digits", candidate.image)
    assert spec.class_names == tuple("0123456789")
    onnx = onnxruntime.InferenceSession((tmp_path / "onnx").read_bytes()).get_modelmeta()
    assert json.loads(onnx.custom_metadata_map["images"])["mean"] == list(spec.mean)
    again = ir.load_network(candidate, tmp_path / "safetensors")
    with torch.no_grad():
        assert torch.equal(again(images), torch.from_numpy(wanted))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*sizes, *(f"{name}.md" for name in sizes)]
    )


def test_a_packed_file_has_the_size_that_its_cost_predicts(
    finished_run: Path, tmp_path: Path
) -> None:
    done = ir.export_trial(finished_run, "knee", file=tmp_path / "a.packed")
    price = ir.cost(Run.open(finished_run).candidate(Run.open(finished_run).pick("knee")))
    header = 8 + int.from_bytes(done.file.read_bytes()[:8], "little")
    bits = sum(row.binary_parameters > 0 for row in price.rows)  # each ends in a whole byte
    assert 0 <= done.bytes - header - price.packed_bytes <= bits


def test_the_card_of_a_timed_export_is_complete(finished_run: Path, tmp_path: Path) -> None:
    done = ir.export_trial(
        finished_run,
        "best",
        file=tmp_path / "a.packed",
        license="CC0-1.0",
        timer=time_on_runtime,
    )
    card = done.card.read_text()
    best = ir.front(finished_run).iloc[0]
    assert card.startswith(f"# quick, trial {best['number']}\n\nLicense: CC0-1.0\n")
    assert f"- test images: {100 * best['test_accuracy']:.1f}% (one seed)" in card
    assert f"{int(best['bops']):,} BOPs" in card
    assert f"{done.bytes:,} bytes" in card
    assert "| stem.0 |" in card
    measured = r"## Latency\n\n([\d.]+) ms per image \(quartiles ([\d.]+) ms to ([\d.]+) ms"
    said = re.search(measured, card)
    assert said is not None, "the timer times a packed file where the run has no time"
    median, low, high = map(float, said.groups())
    assert 0 < low <= median <= high
    assert f"threads: 1; images per call: 1; processor: {this_machine().cpu}." in card


def test_a_file_that_predicts_differently_is_not_written(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ir2search.runtime.network.PackedNetwork.logits",
        lambda self, images: np.zeros((len(images), 10), np.float32),
    )
    with pytest.raises(IR2SearchError, match="predictions of the exported network differ"):
        ir.export_trial(finished_run, "best", file=tmp_path / "a.packed")
    assert list(tmp_path.iterdir()) == []


def test_other_data_and_other_formats_are_refused(finished_run: Path, tmp_path: Path) -> None:
    data, candidate = ir.run_data(finished_run), ir.Candidate()
    network = ir.build(candidate)
    with pytest.raises(DataError, match="use data that fits the network"):
        ir.export(network, candidate, data, tmp_path / "a")
    with pytest.raises(InputError, match="format: must be one of packed"):
        ir.export(network, candidate, data, tmp_path / "a", "tflite")  # type: ignore[arg-type]
