from __future__ import annotations

import numpy as np
import pytest
import torch

from ir2search.nn import Thermometer, sign


@pytest.mark.parametrize("levels", [1, 3, 8])
def test_the_signs_of_a_pixel_count_the_levels_up_to_it(levels: int) -> None:
    images = torch.randn(2, 3, 4, 5)
    images[0, 0, 0, 0] = 0.0  # the middle level of an odd number of levels
    code = sign(Thermometer(levels)(images)).view(2, levels, 3, 4, 5)
    step = 4 / levels
    places = np.arange(levels) * step - 2 + step / 2
    expected = np.searchsorted(places, images.numpy().ravel(), side="right").reshape(2, 3, 4, 5)
    assert (code == 1).sum(dim=1).tolist() == expected.tolist()
    assert (code.diff(dim=1) <= 0).all(), "the levels rise"
