"""scikit-learn's 1,797 handwritten digits, 8 x 8 pixels, which need no download.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test set).
"""

from __future__ import annotations

import torch
from torch.nn import functional

from ir2search.data.sources import LabelledImages

TEST_SHARE = 0.2
SPLIT_SEED = 0  # all studies have the same test set


def read_digits(size: int | None) -> LabelledImages:
    """Read the digits in grey, resized bilinearly to ``size``; a stratified fifth is the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)
    if size is not None:
        images = functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    images = images.round().to(torch.uint8)
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(
        range(len(labels)), test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=digits.target
    )
    names = tuple(str(digit) for digit in range(10))
    return LabelledImages(images[train], labels[train], images[test], labels[test], names)
