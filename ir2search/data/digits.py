"""scikit-learn's 1,797 handwritten digits: real images, 8 x 8, that come with the package.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test set).
"""

from __future__ import annotations

import torch
from torch.nn import functional

from ir2search.data.decode import RawImages

TEST_SHARE = 0.2
SPLIT_SEED = 0  # the test set is the same for every study


def read_digits(size: int | None) -> RawImages:
    """The digits in grey, resized bilinearly to ``size``; a stratified fifth of them is test."""
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
    return RawImages(
        {
            "train_images": images[train],
            "train_labels": labels[train],
            "test_images": images[test],
            "test_labels": labels[test],
        },
        [str(digit) for digit in range(10)],
    )
