"""The expected gain per epoch of a candidate at its next rung, by a model of learning curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist

from ir2search.search.samplers.ehvi.error_model import FEATURE_LENGTH, PRIOR_SQUARE
from ir2search.search.samplers.ehvi.features import features, log_scaled, matern, on_one_thread
from ir2search.search.samplers.ehvi.gains import LEAST_ERROR, MARGIN, QUANTILES, mean_gains
from ir2search.space import Candidate

COMMON_VARIANCE = 10.0  # variance of the start and of the slope of the shared line
SEED_VARIANCE = 0.02  # variance between seeds
DEPARTURE_LENGTH = 0.3  # length scale of departures from a line, in scaled times from 0 to 1
NOISES = (0.002, 0.01, 0.03)


@dataclass(frozen=True)
class Shape:
    """Hyperparameters of the kernel; its part over the costs has variance 1.

    Attributes:
        cost_length: length scale over the costs, which range from 0 to 1.
        feature_variance: variance of the part over the features, which range from 0 to 1.
        departure_variance: variance of a curve's departure from a line.
    """

    cost_length: float
    feature_variance: float
    departure_variance: float


SHAPES = tuple(itertools.starmap(Shape, itertools.product((0.5, 1.5), (0.02, 0.1), (0.02, 0.06))))


@dataclass(frozen=True)
class Points:
    """Points on learning curves.

    Attributes:
        training: (points), number of the training that a point belongs to.
        costs: (points, costs), from 0 to 1.
        features: (points, features), from 0 to 1.
        times: (points), logarithms of epochs, from 0 to 1.
    """

    training: np.ndarray
    costs: np.ndarray
    features: np.ndarray
    times: np.ndarray


class CurveModel:
    """A Gaussian process of the log odds of the error, over the logarithm of epochs.

    A curve is a line plus small departures from it, because errors fall by a power of the epochs
    (Domhan, Springenberg and Hutter, "Speeding up automatic hyperparameter optimization of deep
    neural networks", IJCAI 2015, their ``pow``). All curves share one line; the costs, the
    features and the seed change its start and its slope. The most likely pair of `SHAPES` and
    `NOISES` is used.

    Args:
        known: points where the error was measured.
        errors: (points).
        like: a model with the hyperparameters to use, instead of the most likely ones.
    """

    def __init__(self, known: Points, errors: np.ndarray, like: CurveModel | None = None) -> None:
        values = _log_odds(errors)
        self._known, self._mean = known, float(values.mean())
        values, parts, count = values - self._mean, _kernel_parts(known, known), len(values) + 1
        best, self._shape, self._noise, self._scale = -math.inf, SHAPES[0], NOISES[0], 1.0
        for shape in SHAPES if like is None else (like._shape,):
            kernel = _kernel(shape, parts)
            for noise in NOISES if like is None else (like._noise,):
                cholesky = np.linalg.cholesky(kernel + noise * np.eye(len(kernel)))
                whitened = solve_triangular(cholesky, values, lower=True, check_finite=False)
                scale = float((whitened @ whitened + PRIOR_SQUARE) / count)
                likelihood = -2 * float(np.log(np.diag(cholesky)).sum()) - count * math.log(scale)
                if likelihood > best:
                    best, self._shape, self._noise, self._scale = likelihood, shape, noise, scale
                    self._cholesky, self._whitened = cholesky, whitened
        if like is not None:
            self._scale = like._scale

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Predict log odds of the error.

        Returns:
            Means and standard deviations, (points) each.
        """
        near = _kernel(self._shape, _kernel_parts(points, self._known))
        whitened = solve_triangular(self._cholesky, near.T, lower=True, check_finite=False)
        squares = points.times**2
        prior = COMMON_VARIANCE * (1 + squares) + 2 * self._shape.departure_variance
        prior += (1 + self._shape.feature_variance + SEED_VARIANCE) * (1 + squares)
        variances = prior - np.sum(whitened**2, axis=0)
        deviations = np.sqrt(self._scale * (np.maximum(variances, 0) + self._noise))
        return self._mean + self._whitened @ whitened, deviations


@on_one_thread()
def gains_per_epoch(
    candidates: Sequence[Candidate],
    costs: np.ndarray,
    errors: np.ndarray,
    levels: Sequence[int],
    target_levels: np.ndarray,
) -> np.ndarray:
    """The hypervolume that each candidate is expected to add for each epoch of training.

    Of the rungs that a candidate has not reached, the one with the largest ratio counts.

    Args:
        candidates: candidates with results, candidates in training, and new ones; each once.
        costs: (candidates, costs).
        errors: (candidates, levels), NaN at rungs that were not reached; at least one is not NaN.
        levels: epochs of each rung.
        target_levels: (candidates), the level to which a candidate is being trained, -1 for none.
            The error expected there is treated as measured, so that several workers choose
            different candidates (Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to
            parallelize optimization", 2010, section 3.2).

    Returns:
        (candidates), hypervolumes per epoch; minus infinity for those that reached all rungs.
    """
    costs, numbers = log_scaled(costs), features(candidates)
    times = np.log(levels) / math.log(max(*levels, 2))
    training, at = (places.ravel() for places in np.indices(errors.shape))

    def points(chosen: np.ndarray) -> Points:
        rows = training[chosen]
        return Points(rows, costs[rows], numbers[rows], times[at[chosen]])

    measured = np.isfinite(errors.ravel())
    model = CurveModel(points(measured), errors.ravel()[measured])
    if (target_levels >= 0).any():
        errors, awaited = errors.copy(), np.arange(len(levels)) == target_levels[:, None]
        errors[awaited] = _errors(model.predict(points(awaited.ravel()))[0])
        measured = np.isfinite(errors.ravel())
        model = CurveModel(points(measured), errors.ravel()[measured], like=model)
    means, deviations = model.predict(points(np.ones(errors.size, dtype=bool)))
    final = _errors(means).reshape(errors.shape)[:, -1]
    least, worst = min(final.min(), np.nanmin(errors)), final.max()
    spread = max(worst - least, LEAST_ERROR)
    front = np.column_stack(
        [(errors.ravel()[measured] - least) / spread, costs[training[measured]]]
    )
    front = front[front[:, 0] < MARGIN]
    front = front[moocore.is_nondominated(front)] if len(front) else front
    possible = _errors(means[:, None] + deviations[:, None] * QUANTILES)
    unreached = np.isnan(errors).ravel()
    gains = mean_gains(front, costs[training[unreached]], (possible[unreached] - least) / spread)
    reached = np.where(measured.reshape(errors.shape), levels, 0).max(axis=1)
    rates = np.full(errors.size, -np.inf)
    rates[unreached] = gains / (np.asarray(levels)[at[unreached]] - reached[training[unreached]])
    return rates.reshape(errors.shape).max(axis=1)


@dataclass(frozen=True)
class _KernelParts:
    """The parts of a kernel between points and other points.

    Attributes:
        costs: (trainings, trainings), distances in the costs.
        features: (trainings, trainings), kernel over the features.
        same: (trainings, trainings), whether both are one training.
        at: indices that expand (trainings, trainings) to (points, points).
        lines: (points, points), kernel of lines.
        departures: (points, points), kernel of departures from lines.
    """

    costs: np.ndarray
    features: np.ndarray
    same: np.ndarray
    at: tuple[np.ndarray, ...]
    lines: np.ndarray
    departures: np.ndarray


def _kernel_parts(one: Points, other: Points) -> _KernelParts:
    """The part of the kernel that does not depend on the shape."""
    (names, first, rows), (others, second, columns) = (
        np.unique(points.training, return_index=True, return_inverse=True)
        for points in (one, other)
    )
    same, at = names[:, None] == others, np.ix_(rows, columns)
    # there are only as many times as rungs, so that few values of the kernel are computed
    (begin, early), (end, late) = (
        np.unique(points.times, return_inverse=True) for points in (one, other)
    )
    departures = matern(np.abs(begin[:, None] - end) / DEPARTURE_LENGTH)[np.ix_(early, late)]
    if same.any():
        departures *= 1 + same[at]
    return _KernelParts(
        cdist(one.costs[first], other.costs[second]),
        matern(cdist(one.features[first], other.features[second]) / FEATURE_LENGTH),
        same,
        at,
        1 + one.times[:, None] * other.times,
        departures,
    )


def _kernel(shape: Shape, parts: _KernelParts) -> np.ndarray:
    own = matern(parts.costs / shape.cost_length) + SEED_VARIANCE * parts.same
    own = own + shape.feature_variance * parts.features
    kernel = own[parts.at]  # a copy; in place, because most of the time goes to memory
    kernel += COMMON_VARIANCE
    kernel *= parts.lines
    kernel += shape.departure_variance * parts.departures
    return kernel


def _log_odds(errors: np.ndarray) -> np.ndarray:
    kept = np.clip(errors, LEAST_ERROR, 1 - LEAST_ERROR)
    return np.log(kept / (1 - kept))


def _errors(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))
