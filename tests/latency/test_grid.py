from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ir2search.latency import on_grid
from ir2search.latency.grid import FINEST
from ir2search.runtime import Timing

medians = st.floats(1e-6, 10.0)
noises = st.floats(0.0, 1.0)


def timing(median: float, noise: float) -> Timing:
    return Timing(median, median * (1 - noise / 2), median * (1 + noise / 2), 100)


def step(noise: float) -> float:
    """The step of the grid, as a logarithm: 2%, doubled until it is at least the noise."""
    return math.log1p(FINEST) * 2 ** max(
        0, math.ceil(math.log2(max(math.log1p(noise), 1e-12) / math.log1p(FINEST)) + 1e-9)
    )


@given(medians, noises)
def test_a_value_is_within_half_a_step_of_the_median(median: float, noise: float) -> None:
    distance = abs(math.log(on_grid(timing(median, noise)) / median))
    assert distance <= step(noise) / 2 + 1e-9


@given(medians, st.floats(0.5, 2.0), noises)
def test_medians_one_step_apart_keep_their_order_with_equal_noise(
    median: float, factor: float, noise: float
) -> None:
    one, other = sorted([median, median * factor])
    low, high = on_grid(timing(one, noise)), on_grid(timing(other, noise))
    assert low <= high
    if math.log(other / one) > step(noise) * (1 + 1e-9):
        assert low < high


@given(medians, st.floats(0.8, 1.25), noises, noises)
def test_times_that_do_not_differ_are_equal_or_on_neighbouring_points(
    median: float, factor: float, noise: float, other_noise: float
) -> None:
    """On the coarser grid of both: rounding moves each by at most half of its own step."""
    one, other = timing(median, noise), timing(median * factor, other_noise)
    if one.differs(other):
        return
    coarser = max(step(noise), step(other_noise))
    apart = abs(math.log(on_grid(one) / on_grid(other)))
    between = abs(math.log(one.median / other.median))
    assert apart <= between + coarser + 1e-9
    if between == 0 and noise == other_noise:
        assert apart == 0


@given(st.lists(medians, min_size=3, max_size=12), noises)
def test_rounding_keeps_the_order(values: list[float], noise: float) -> None:
    found = [on_grid(timing(value, noise)) for value in sorted(values)]
    for before, after in pairwise(found):
        assert before <= after


@given(medians, noises)
def test_a_point_of_a_coarse_grid_is_on_every_finer_grid(median: float, noise: float) -> None:
    value = on_grid(timing(median, noise))
    places = math.log(value) / math.log1p(FINEST)
    assert abs(places - round(places)) < 1e-6
