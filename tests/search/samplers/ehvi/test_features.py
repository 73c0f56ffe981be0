from __future__ import annotations

import numpy as np

from ir2search.search.samplers.ehvi.features import features, log_scaled
from ir2search.space import Candidate


def test_equal_networks_have_equal_features() -> None:
    same = [Candidate(fusion="dense", fusion_ratio=ratio) for ratio in (2.0, 8.0)]
    numbers = features([*same, Candidate(fusion="compact", taps=("stem",))])
    assert (numbers[0] == numbers[1]).all()
    assert (numbers[0] != numbers[2]).any()
    assert numbers.min() == 0
    assert numbers.max() == 1


def test_the_width_of_each_stage_is_a_feature_of_its_own() -> None:
    widths = [(1.0, 0.5, 1.0), (1.0, 1.0, 0.5), (1.0, 1.0, 1.0)]
    numbers = features([Candidate(widths=each, fusion="none") for each in widths])
    np.testing.assert_allclose(numbers, [[0, 1], [1, 0], [1, 1]])


def test_a_real_stage_has_the_features_of_its_real_layers() -> None:
    depth, names = 8, [(), ("stage3.0",), ("stage3",)]
    numbers = features([Candidate(depth=depth, real_layers=each) for each in names])
    np.testing.assert_allclose(numbers, [[0, 0], [1, 0], [1, 1]])


def test_costs_are_scaled_on_a_logarithm_and_zero_is_the_least() -> None:
    scaled = log_scaled(np.array([[0.0, 5.0], [1.0, 5.0], [10.0, 5.0], [100.0, 5.0]]))
    np.testing.assert_allclose(scaled[:, 0], [0.0, 0.0, 0.5, 1.0])
    assert (scaled[:, 1] == 0).all(), "equal for all"
