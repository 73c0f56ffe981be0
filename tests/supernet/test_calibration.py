from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import pad

from ir2search.data import Augmentation, DataConfig, load_data
from ir2search.supernet.calibration import calibration_batches

CPU = torch.device("cpu")


def test_images_are_augmented_as_in_training_and_always_the_same(tmp_path: Path) -> None:
    digits = load_data(DataConfig(source="digits", size=8), None, tmp_path, 0)
    plain, cropped, again = (
        torch.cat(
            calibration_batches(digits, 64, Augmentation(crop_padding=margin, flip=False), CPU)
        )
        for margin in (0, 2, 2)
    )
    assert torch.equal(cropped, again)
    assert not torch.equal(cropped, plain)
    blank = float(digits.normalise(torch.zeros(1, *digits.image, dtype=torch.uint8)).mean())
    _, height, width = digits.image
    for image, found in zip(plain, cropped, strict=True):
        padded = pad(image, (2, 2, 2, 2), value=blank)
        crops = [padded[:, y : y + height, x : x + width] for y in range(5) for x in range(5)]
        assert any(torch.allclose(found, crop) for crop in crops)
