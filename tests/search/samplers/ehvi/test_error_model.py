from __future__ import annotations

import itertools

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir2search.search.samplers.ehvi.error_model import (
    ErrorModel,
    expected_gains,
    farthest,
    gains_over,
)
from ir2search.search.samplers.ehvi.gains import MARGIN
from ir2search.space import Candidate

unit = st.floats(0.0, 1.0)


@given(
    st.lists(st.tuples(unit, unit), min_size=1, max_size=8),
    st.lists(unit, min_size=1, max_size=4),
    st.floats(0.01, 0.9),
)
def test_the_gain_of_a_certain_error_is_the_growth_of_the_hypervolume(
    measured: list[tuple[float, float]], costs: list[float], error: float
) -> None:
    front = np.array(measured)
    count = len(costs)
    gains = gains_over(
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


def test_two_objectives_agree_with_three_of_which_one_is_constant() -> None:
    """Two and three objectives are computed in different ways."""
    generator = np.random.default_rng(0)
    front, costs = generator.random((6, 2)), generator.random((5, 1))
    means, deviations = np.log(generator.random(5)), np.full(5, 0.2)
    two = gains_over(front, costs, means, deviations)
    three = gains_over(
        np.column_stack([front, np.zeros(6)]),
        np.column_stack([costs, np.zeros(5)]),
        means,
        deviations,
    )
    np.testing.assert_allclose(three, MARGIN * two, atol=1e-9)


def test_the_model_is_a_gaussian_process_of_costs_and_features() -> None:
    """Against the textbook formula, with the shape that the model chose."""
    generator = np.random.default_rng(1)
    costs, numbers = generator.random((12, 1)), generator.integers(0, 2, (12, 3)).astype(float)
    errors = np.exp(-2 * costs[:, 0] + 0.3 * numbers[:, 0] + 0.05 * generator.normal(size=12))
    model = ErrorModel(costs, numbers, errors)
    fit = model._fit

    def kernel(one: tuple[float, np.ndarray], other: tuple[float, np.ndarray]) -> float:
        parts = []
        for distance, length, variance in (
            (abs(one[0] - other[0]), fit.shape.cost_length, 1.0),
            (float(np.linalg.norm(one[1] - other[1])), 2.0, fit.shape.feature_variance),
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
    variance = 1 + fit.shape.feature_variance + fit.noise - near @ np.linalg.solve(between, near)
    mean, deviation = model.predict(np.array([[0.3]]), new[1][None])
    assert mean[0] == pytest.approx(expected)
    assert deviation[0] == pytest.approx(np.sqrt(fit.scale * variance))


def test_features_are_learned_besides_the_costs() -> None:
    """Errors fall with the width; of equally expensive networks those with a shift are better."""
    widths = np.linspace(0.25, 1.0, 8)
    known = [Candidate(width=width, shift=bool(i % 2)) for i, width in enumerate(widths)]
    errors = np.array([0.4 / c.width**0.5 * (0.5 if c.shift else 1.0) for c in known])
    pool = [Candidate(width=0.6, shift=shift) for shift in (False, True)]
    costs = np.array([[1e6 * c.width**2] for c in known])
    gains = expected_gains(pool, np.full((2, 1), 0.36e6), known, costs, errors)
    assert gains.argmax() == 1


def test_the_first_candidates_are_the_cheapest_the_most_expensive_and_the_middle() -> None:
    pool = np.array([[1e3], [2e3], [1e4], [5e4], [1e5]])
    begun: list[int] = []
    for _ in range(3):
        begun.append(farthest(pool, pool[begun].reshape(-1, 1)))
    assert begun == [0, 4, 2]


def test_a_candidate_that_is_better_and_cheaper_gains_more() -> None:
    generator = np.random.default_rng(3)
    front = generator.random((5, 2))
    costs, means = generator.random((6, 1)), np.log(0.3 * generator.random(6) + 0.01)
    gains = gains_over(front, costs, means, np.zeros(6))
    scale = np.ptp([*np.exp(means), *front[:, 0]])
    assert (gains >= 0).all()
    assert scale > 0
    for one, other in itertools.combinations(range(6), 2):
        if costs[one] <= costs[other] and means[one] <= means[other]:
            assert gains[one] >= gains[other]


def test_costs_below_one_are_distinguished() -> None:
    """Latencies are milliseconds, while OPs are thousands."""
    pool = np.array([[0.1], [0.2], [0.9]])
    assert farthest(pool, np.empty((0, 1))) == 0
    assert farthest(pool, pool[:1]) == 2
