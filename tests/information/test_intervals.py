from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ir2search.information.intervals import Bootstrap


def test_the_interval_of_a_mean_is_close_to_that_of_student() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = Bootstrap(400, 1).mean(values)
    exact = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(exact, abs=0.06)


def test_the_interval_is_close_to_scipys_bootstrap() -> None:
    values = np.random.default_rng(2).exponential(size=60)
    found = Bootstrap(60, 1).mean(values)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(theirs, abs=0.05)


def test_common_variation_cancels_in_the_difference_of_two_measures() -> None:
    generator = np.random.default_rng(4)
    common = generator.normal(0, 5, 200)
    one, other = common + 0.3 + generator.normal(0, 0.1, 200), common
    resampled = Bootstrap(200, 0)
    assert resampled.mean(one).low < resampled.mean(other).high
    assert resampled.mean(one - other).low > 0.2


def test_images_without_a_value_are_left_out() -> None:
    values = np.array([1.0, np.nan, 3.0])
    assert Bootstrap(3, 0).mean(values).value == 2
    nothing = Bootstrap(2, 0).mean(np.array([np.nan, np.nan]))
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_a_ratio_is_a_ratio_of_sums() -> None:
    found = Bootstrap(2, 0).ratio(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    assert found.value == 1
    assert (found.low, found.high) == (0.5, 1.5)


def test_a_measure_of_means_is_computed_for_each_draw() -> None:
    shares = np.random.default_rng(1).random((50, 4))
    found = Bootstrap(50, 0).of_mean(shares, lambda p: (p * p).sum(axis=-1))
    assert found.value == pytest.approx((shares.mean(axis=0) ** 2).sum())
    assert found.low < found.value < found.high


def test_intervals_cover_the_true_mean_about_95_times_in_100() -> None:
    generator, hits = np.random.default_rng(5), 0
    for seed in range(200):
        found = Bootstrap(80, seed).mean(generator.normal(size=80))
        hits += found.low <= 0 <= found.high
    assert 0.89 <= hits / 200 <= 0.99
