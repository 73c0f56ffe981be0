from __future__ import annotations

import numpy as np
import pytest

from ir2search.search.samplers.ehvi.curve_model import (
    COMMON_VARIANCE,
    DEPARTURE_LENGTH,
    SEED_VARIANCE,
    CurveModel,
    Points,
    gains_per_epoch,
)
from ir2search.search.samplers.ehvi.error_model import FEATURE_LENGTH
from ir2search.space import Candidate

LEVELS = (3, 9, 27)
WIDTHS = np.linspace(0.25, 1.0, 4)


def measured(*curves: list[float]) -> np.ndarray:
    """Errors by level, NaN beyond what was trained."""
    return np.array([[*curve, *[np.nan] * (len(LEVELS) - len(curve))] for curve in curves])


def rates(
    errors: np.ndarray,
    excluded: tuple[int, ...] = (),
    widths: np.ndarray = WIDTHS,
    target_levels: dict[int, int] | None = None,
) -> np.ndarray:
    candidates = [Candidate(width=width) for width in widths]
    levels = np.array([(target_levels or {}).get(row, -1) for row in range(len(candidates))])
    costs = 1e6 * widths[:, None] ** 2
    found = gains_per_epoch(candidates, costs, errors, LEVELS, levels)
    found[list(excluded)] = -np.inf
    return found


def chosen(errors: np.ndarray, excluded: tuple[int, ...] = (), widths: np.ndarray = WIDTHS) -> int:
    return int(rates(errors, excluded, widths).argmax())


def test_the_model_is_a_gaussian_process_of_lines_over_the_logarithm_of_epochs() -> None:
    """Against the textbook formula, with the shape that the model chose."""
    generator = np.random.default_rng(0)
    training = np.repeat(np.arange(5), 3)
    costs = generator.random((5, 1))[training]
    numbers = generator.integers(0, 2, (5, 2))[training] * 1.0
    points = Points(training, costs, numbers, np.tile([0.3, 0.7, 1.0], 5))
    odds = 1 - 3 * points.times - costs[:, 0] + 0.05 * generator.normal(size=15)
    model = CurveModel(points, 1 / (1 + np.exp(-odds)))
    shape = model._shape

    def matern(distance: float) -> float:
        r = np.sqrt(5) * distance
        return float((1 + r + r**2 / 3) * np.exp(-r))

    def kernel(i: int, one: Points, j: int, other: Points) -> float:
        same = float(one.training[i] == other.training[j])
        own = matern(abs(one.costs[i, 0] - other.costs[j, 0]) / shape.cost_length)
        own += SEED_VARIANCE * same
        far = float(np.linalg.norm(one.features[i] - other.features[j]))
        own += shape.feature_variance * matern(far / FEATURE_LENGTH)
        departure = matern(abs(one.times[i] - other.times[j]) / DEPARTURE_LENGTH)
        departure *= shape.departure_variance
        line = 1 + one.times[i] * other.times[j]
        return float((COMMON_VARIANCE + own) * line + departure * (1 + same))

    new = Points(  # of a training without results, and of one that was measured at other times
        np.array([7, 2, 7]),
        np.array([[0.4], costs[6], [0.4]]),
        np.array([[1.0, 0.0], numbers[6], [1.0, 0.0]]),
        np.array([0.9, 0.8, 0.3]),
    )
    between = np.array([[kernel(i, points, j, points) for j in range(15)] for i in range(15)])
    between += model._noise * np.eye(15)
    means, deviations = model.predict(new)
    for place in range(3):
        near = np.array([kernel(place, new, j, points) for j in range(15)])
        expected = odds.mean() + near @ np.linalg.solve(between, odds - odds.mean())
        variance = kernel(place, new, place, new) - near @ np.linalg.solve(between, near)
        variance += model._noise
        assert means[place] == pytest.approx(expected)
        assert deviations[place] == pytest.approx(np.sqrt(model._scale * variance), rel=1e-6)


def test_the_better_of_two_waiting_candidates_is_trained_further() -> None:
    widths = np.array([0.25, 0.5, 0.5 + 1e-9])
    for better in (1, 2):
        curves = [[0.7, 0.4, 0.2], [0.6], [0.6]]
        curves[better] = [0.3]
        assert chosen(measured(*curves), widths=widths) == better


def test_excluded_and_completed_candidates_are_not_chosen() -> None:
    errors = measured([0.7, 0.4, 0.2], [0.3], [], [])
    assert chosen(errors, excluded=(1, 2)) == 3
    assert chosen(errors, excluded=(2, 3)) == 1


def test_a_new_candidate_is_preferred_to_a_poor_one() -> None:
    errors = measured([0.7, 0.4, 0.2], [0.9], [], [])
    assert chosen(errors) in (2, 3)


def test_a_candidate_whose_twin_is_in_training_gains_less() -> None:
    widths = np.array([0.25, 0.5, 0.5 + 1e-9, 1.0])
    errors = measured([0.7, 0.4, 0.2], [], [], [])
    alone = rates(errors, (1,), widths)
    beside = rates(errors, (1,), widths, {1: 0})
    assert beside[2] < 0.7 * alone[2]
    assert beside[2] / alone[2] < beside[3] / alone[3]
    assert np.isneginf(beside[1])
