from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import ir2search as ir
from ir2search.errors import StudyError
from ir2search.search.samplers.surrogate import (
    BLAS,
    MARGIN,
    ErrorModel,
    expected_gains,
    expected_times,
    farthest,
    features,
    on_one_thread,
    worth,
)
from ir2search.space import Candidate
from ir2search.study.schema import parse_study

unit = st.floats(0.0, 1.0)


@given(
    st.lists(st.tuples(unit, unit), min_size=1, max_size=8),
    st.lists(unit, min_size=1, max_size=4),
    st.floats(0.01, 0.9),
)
@settings(deadline=None)
def test_a_sure_gain_is_what_the_hypervolume_grows_by(
    measured: list[tuple[float, float]], costs: list[float], error: float
) -> None:
    front = np.array(measured)
    count = len(costs)
    gains = expected_gains(
        front, np.array(costs)[:, None], np.full(count, np.log(error)), np.zeros(count)
    )
    least, worst = min(error, front[:, 0].min()), front[:, 0].max()
    spread = max(worst - least, 1e-3)
    known = np.column_stack([(front[:, 0] - least) / spread, front[:, 1]])
    reference = [MARGIN, MARGIN]
    for cost, gain in zip(costs, gains, strict=True):
        more = np.vstack([known, [(error - least) / spread, cost]])
        grown = moocore.hypervolume(more, ref=reference)
        grown -= moocore.hypervolume(known, ref=reference)
        assert gain == pytest.approx(grown, abs=1e-9)


def test_two_costs_that_are_one_gain_as_a_third_objective_says() -> None:
    """Three objectives go another way than two; with a second cost of 0 for all they agree."""
    generator = np.random.default_rng(0)
    front, costs = generator.random((6, 2)), generator.random((5, 1))
    means, deviations = np.log(generator.random(5)), np.full(5, 0.2)
    two = expected_gains(front, costs, means, deviations)
    three = expected_gains(
        np.column_stack([front, np.zeros(6)]),
        np.column_stack([costs, np.zeros(5)]),
        means,
        deviations,
    )
    np.testing.assert_allclose(three, MARGIN * two, atol=1e-9)


def test_the_model_is_a_gaussian_process_of_costs_and_features() -> None:
    """Against the textbook's formula with the shape that it took."""
    generator = np.random.default_rng(1)
    costs, numbers = generator.random((12, 1)), generator.integers(0, 2, (12, 3)).astype(float)
    errors = np.exp(-2 * costs[:, 0] + 0.3 * numbers[:, 0] + 0.05 * generator.normal(size=12))
    model = ErrorModel(costs, numbers, errors)
    fit = model._fit

    def kernel(one: tuple[float, np.ndarray], other: tuple[float, np.ndarray]) -> float:
        parts = []
        for distance, length, variance in (
            (abs(one[0] - other[0]), fit.shape.reach, 1.0),
            (float(np.linalg.norm(one[1] - other[1])), 2.0, fit.shape.share),
        ):
            r = np.sqrt(5) * distance / length
            parts.append(variance * (1 + r + r**2 / 3) * np.exp(-r))
        return sum(parts)

    known = list(zip(costs[:, 0], numbers, strict=True))
    new = (0.3, np.array([1.0, 0.0, 1.0]))
    between = np.array([[kernel(a, b) for b in known] for a in known]) + fit.noise * np.eye(12)
    near = np.array([kernel(new, a) for a in known])
    values = np.log(errors)
    expected = values.mean() + near @ np.linalg.solve(between, values - values.mean())
    variance = 1 + fit.shape.share + fit.noise - near @ np.linalg.solve(between, near)
    mean, deviation = model.predict(np.array([[0.3]]), new[1][None])
    assert mean[0] == pytest.approx(expected)
    assert deviation[0] == pytest.approx(np.sqrt(fit.scale * variance))


def test_what_made_networks_good_is_learned_beside_their_costs() -> None:
    """Errors fall with the width; among equally dear networks those with a shift are better."""
    widths = np.linspace(0.25, 1.0, 8)
    known = [Candidate(width=width, shift=bool(i % 2)) for i, width in enumerate(widths)]
    errors = np.array([0.4 / c.width**0.5 * (0.5 if c.shift else 1.0) for c in known])
    pool = [Candidate(width=0.6, shift=shift) for shift in (False, True)]
    costs = np.array([[1e6 * c.width**2] for c in known])
    gains = worth(pool, np.full((2, 1), 0.36e6), known, costs, errors)
    assert gains.argmax() == 1


def test_the_first_are_the_cheapest_the_dearest_and_the_middle() -> None:
    pool = np.array([[1e3], [2e3], [1e4], [5e4], [1e5]])
    begun: list[int] = []
    for _ in range(3):
        begun.append(farthest(pool, pool[begun].reshape(-1, 1)))
    assert begun == [0, 4, 2]


def test_equal_networks_have_equal_features() -> None:
    same = [Candidate(fusion="dense", fusion_ratio=ratio) for ratio in (2.0, 8.0)]
    numbers = features([*same, Candidate(fusion="compact", taps=("stem",))])
    assert (numbers[0] == numbers[1]).all()
    assert (numbers[0] != numbers[2]).any()
    assert numbers.min() == 0
    assert numbers.max() == 1


def start(values: dict[str, Any], folder: Path) -> pd.DataFrame:
    ir.run(parse_study(values, "a.toml"), folder, device="cpu")
    return ir.trials(folder).drop(columns="seconds")


@pytest.mark.parametrize("rungs", [None, {"minimum": 1, "factor": 2}])
def test_a_study_begins_spread_over_the_costs_and_meets_no_network_twice(
    quick: dict[str, Any], tmp_path: Path, rungs: dict[str, int] | None
) -> None:
    values = {**quick, "sampler": "ehvi", "trials": 5}
    if rungs:
        values |= {"recipe": {**quick["recipe"], "epochs": 2}, "rungs": rungs}
    table = start(values, tmp_path / "run")
    assert table["duplicate_of"].isna().all()
    assert table["ops"].iloc[0] == table["ops"].min()
    assert rungs or table["ops"].iloc[1] == table["ops"].max()
    assert start(values, tmp_path / "again").equals(table)


def test_it_is_for_accuracy(quick: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match='"ehvi" needs accuracy among the objectives'):
        parse_study({**quick, "sampler": "ehvi", "objectives": ["ops", "memory"]}, "a.toml")


def test_gains_are_compared_over_all_candidates() -> None:
    """The best of a pool is the best of every two of it."""
    generator = np.random.default_rng(3)
    front = generator.random((5, 2))
    costs, means = generator.random((6, 1)), np.log(0.3 * generator.random(6) + 0.01)
    gains = expected_gains(front, costs, means, np.zeros(6))
    scale = np.ptp([*np.exp(means), *front[:, 0]])
    assert (gains >= 0).all()
    assert scale > 0
    for one, other in itertools.combinations(range(6), 2):
        if costs[one] <= costs[other] and means[one] <= means[other]:
            assert gains[one] >= gains[other]


def test_times_are_expected_by_a_power_law_of_operations() -> None:
    ops = np.array([1e4, 1e5, 1e6])
    assert expected_times([], [], ops) == pytest.approx(ops)
    assert expected_times([1e5], [0.2], ops) == pytest.approx([0.02, 0.2, 2.0])
    known = [2e4, 3e4, 7e5]
    law = expected_times(known, [0.1 * (each / 1e5) ** 0.4 for each in known], ops)
    assert law == pytest.approx(0.1 * (ops / 1e5) ** 0.4)
    assert expected_times([1e5] * 3, [0.1, 0.2, 0.4], ops) == pytest.approx([0.02, 0.2, 2.0])


def test_costs_below_one_are_told_apart() -> None:
    """Milliseconds, where operations are thousands."""
    pool = np.array([[0.1], [0.2], [0.9]])
    assert farthest(pool, np.empty((0, 1))) == 0
    assert farthest(pool, pool[:1]) == 2


def test_algebra_takes_one_thread_for_as_long_as_it_takes() -> None:
    def threads() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    with BLAS.limit(limits=2, user_api="blas"):
        before = threads()
        with on_one_thread():
            assert threads() == {1}
        assert threads() == before
