from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ir2search as ir
from ir2search.errors import DataError, InputError
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


@pytest.mark.parametrize("format", ["packed", "safetensors"])
def test_predictions_are_those_of_the_trained_network(
    format: Format,  # noqa: A002
    finished_run: Path,
    digits: list[Path],
    tmp_path: Path,
) -> None:
    file = tmp_path / f"network.{format}"
    ir.export_trial(finished_run, "best", format, file=file)
    run = ir.Run.open(finished_run)
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
    with pytest.raises(InputError, match="is a folder; export its network and give the packed"):
        ir.predict(finished_run, digits)
    with pytest.raises(InputError, match="no trained network 'cat'"):
        ir.predict("cat", digits)
