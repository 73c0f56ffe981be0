from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from ir2search.data import LabelledImages, register_dataset
from ir2search.data.sources import SOURCES, read_registered
from ir2search.errors import DataError, StudyError

IMAGES = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
GOOD = LabelledImages(IMAGES, torch.arange(4) % 2, IMAGES[:2], torch.arange(2), ("a", "b"))


@pytest.fixture(autouse=True)
def restored_sources() -> Iterator[None]:
    entries, owners = dict(SOURCES._entries), dict(SOURCES._owners)
    yield
    SOURCES._entries, SOURCES._owners = entries, owners


def test_a_registered_data_set_is_read() -> None:
    register_dataset("mine")(lambda folder, size: GOOD)
    assert read_registered("mine", None, 8) is GOOD
    with pytest.raises(StudyError, match="data source 'digits': the name is taken"):
        register_dataset("digits")(lambda folder, size: GOOD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": IMAGES.float()}, r"train_images: must be \(N, C, H, W\) uint8"),
        ({"test_images": IMAGES[:2, :, :4]}, r"test_images: must be \(1, 8, 8\) like the training"),
        ({"train_labels": torch.zeros(4)}, r"train_labels: must be \(4,\) whole numbers"),
        ({"test_labels": torch.arange(3)}, r"test_labels: must be \(2,\) whole numbers"),
        ({"train_labels": torch.arange(4)}, "train_labels: must be from 0 to 1"),
        ({"test_labels": [0, 1]}, "test_images and test_labels must be tensors on the CPU"),
    ],
)
def test_each_fault_of_a_data_set_is_named(change: dict[str, Any], message: str) -> None:
    register_dataset("mine")(lambda folder, size: replace(GOOD, **change))
    with pytest.raises(DataError, match=f"data source 'mine': {message}"):
        read_registered("mine", None, None)


def test_the_requested_size_and_the_type_are_checked() -> None:
    register_dataset("mine")(lambda folder, size: GOOD if size else 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(DataError, match="must be 12 x 12, the requested size, but are 8 x 8"):
        read_registered("mine", None, 12)
    with pytest.raises(DataError, match="must return LabelledImages, but returned int"):
        read_registered("mine", None, None)
