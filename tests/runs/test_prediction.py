from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

import ir2search as ir
from ir2search.errors import DataError, InputError, RunError
from ir2search.export import Format


@pytest.fixture(scope="module")
def digits(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Some validation images of the run as files."""
    folder = tmp_path_factory.mktemp("digits")
    images, _ = ir.run_data(finished_run).validation.take(torch.arange(12))
    files = [folder / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images.numpy(), strict=True):
        Image.fromarray(image[0]).save(file)
    return files


@pytest.mark.parametrize("format", ["packed", "onnx", "safetensors", "folder"])
def test_predictions_are_those_of_the_trained_network(
    format: Format | Literal["folder"],  # noqa: A002
    finished_run: Path,
    digits: list[Path],
    tmp_path: Path,
) -> None:
    run = ir.Run.open(finished_run)
    if format == "folder":
        file = run.folder_of(run.pick("best"))
    else:
        file = ir.export_trial(run, "best", format, file=tmp_path / f"network.{format}").file
    data = run.data()
    with torch.no_grad():
        images, _ = data.validation.take(torch.arange(12))
        shares = run.network(run.pick("best"))(data.normalise(images)).softmax(dim=1).numpy()
    found = ir.predict(file, digits, top=10)
    assert [each.image for each in found] == list(map(str, digits))
    for each, expected in zip(found, shares, strict=True):
        order = np.argsort(-expected)
        assert [row.name for row in each.classes] == [data.class_names[index] for index in order]
        np.testing.assert_allclose(
            [row.probability for row in each.classes], expected[order], atol=1e-4
        )
    assert ir.predict(file, digits[:1], top=2)[0].classes == found[0].classes[:2]


def test_wrong_input_is_named(finished_run: Path, digits: list[Path], tmp_path: Path) -> None:
    file = ir.export_trial(
        finished_run, "best", "safetensors", file=tmp_path / "a.safetensors"
    ).file
    with pytest.raises(DataError, match=r"nothing\.png: cannot be read"):
        ir.predict(file, [digits[0], tmp_path / "nothing.png"])
    with pytest.raises(InputError, match="`top` must be at least 1, but got 0"):
        ir.predict(file, digits, top=0)
    with pytest.raises(InputError, match=r"is a run; give a trial's folder, .*trials/NUMBER"):
        ir.predict(finished_run, digits)
    with pytest.raises(InputError, match="already says how to normalise images; give `data` for"):
        ir.predict(file, digits, data=tmp_path)
    with pytest.raises(InputError, match="no trained network 'cat'"):
        ir.predict("cat", digits)


def test_a_training_normalises_with_the_numbers_of_its_own_images(
    digits: list[Path], tmp_path: Path
) -> None:
    candidate = ir.Candidate(depth=8, width=0.125, image=(1, 8, 8))
    (tmp_path / "small.json").write_text(json.dumps(candidate.as_dict()))
    recipe = ir.Recipe(epochs=1, batch_size=256, optimizer="adamw", lr=0.01)
    folder = tmp_path / "own"
    ir.train_network(str(tmp_path / "small.json"), folder, recipe=recipe)
    found = ir.predict(folder, digits[:2])
    assert len(found) == 2
    settings = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(settings | {"data": "0" * 16}))
    with pytest.raises(RunError, match="was trained on other images; give the folder of these"):
        ir.predict(folder, digits)
