from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from ir2search.data import DataConfig, ImageData, StreamedSplit, load_data
from ir2search.information.images import first_images


def normalised(data: ImageData, count: int) -> torch.Tensor:
    return data.normalise(data.validation.take(torch.arange(count))[0])


def test_images_in_memory_are_normalised_by_batches(tmp_path: Path) -> None:
    data = load_data(DataConfig(source="digits", size=8), None, tmp_path, 0)
    images = first_images(data, data.validation, 10)
    batches = list(images.batches(4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([some for some, _ in batches]), normalised(data, 10))
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.labels)
    assert torch.equal(images.first(3).whole()[0], normalised(data, 3))
    assert (len(images), images.shape) == (10, (1, 8, 8))


def test_images_on_disk_are_decoded_by_batches(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in range(2):
            folder = tmp_path / "images" / split / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(8):
                colour = (100 * label, 20 * number, 0)
                Image.new("RGB", (16, 16), colour).save(folder / f"{number}.png")
    config = DataConfig(source="folder", size=8, stream=True, validation=0.5)
    data = load_data(config, tmp_path / "images", tmp_path, 0)
    images = first_images(data, data.validation, 5)
    assert isinstance(images.split, StreamedSplit)
    batches = list(images.batches(2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([some for some, _ in batches]), normalised(data, 5))


def test_first_images_of_a_smaller_split_are_all_of_it(tmp_path: Path) -> None:
    data = load_data(DataConfig(source="digits", size=8), None, tmp_path, 0)
    assert len(first_images(data, data.validation, 100_000)) == len(data.validation)
