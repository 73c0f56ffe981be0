from __future__ import annotations

import numpy as np
import pytest

from ir2search.runtime import kernels


def test_images_become_channels_last() -> None:
    images = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    flat = np.zeros(images.size, np.float32)
    assert kernels.to_channels_last(images, flat)
    np.testing.assert_array_equal(flat.reshape(2, 4, 5, 3), images.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_found(value: float) -> None:
    images = np.zeros((1, 2, 3, 3), np.float32)
    images[0, 1, 2, 2] = value
    assert not kernels.to_channels_last(images, np.zeros(images.size, np.float32))
