from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from ir2search.data.digits import read_digits


def sorted_bytes(images: torch.Tensor | np.ndarray) -> list[bytes]:
    return sorted(image.tobytes() for image in np.asarray(images))


def test_the_images_and_labels_are_those_of_scikit_learn() -> None:
    found, original = read_digits(None), load_digits()
    assert found.class_names == tuple("0123456789")
    images = torch.cat([found.train_images, found.test_images])[:, 0]
    labels = torch.cat([found.train_labels, found.test_labels])
    expected = np.round(original.images * 255 / 16).astype(np.uint8)
    assert sorted_bytes(images) == sorted_bytes(expected)
    assert np.array_equal(np.bincount(labels), np.bincount(original.target))


def test_the_test_set_is_a_stratified_fifth() -> None:
    found = read_digits(16)
    assert found.test_images.shape == (360, 1, 16, 16)
    counts = np.bincount(found.test_labels)
    assert counts.max() - counts.min() <= 2
