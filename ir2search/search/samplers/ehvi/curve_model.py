"""The expected gain per epoch of a candidate at its next rung, by a model of learning curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import moocore
import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist

from ir2search.blas import on_one_thread
from ir2search.search.samplers.ehvi.error_model import FEATURE_LENGTH, PRIOR_SQUARE
from ir2search.search.samplers.ehvi.features import features, log_scaled, matern
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

    @cached_property
    def first(self) -> np.ndarray:
        """(trainings), the first point of each training."""
        return np.unique(self.training, return_index=True)[1]

    @cached_property
    def rows(self) -> np.ndarray:
        """(points), the place of a point's training among all trainings."""
        return np.unique(self.training, return_inverse=True)[1]


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
        values -= self._mean
        parts = _KernelParts.of(known)
        self._shape: Shape
        self._noise: float
        self._shape, self._noise = (
            _most_likely(parts, values) if like is None else (like._shape, like._noise)
        )
        kernel = _kernel(self._shape, parts)
        self._cholesky, self._whitened = _whitened(kernel, self._noise, values)
        self._scale: float = _scale(self._whitened) if like is None else like._scale

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Predict log odds of the error.

        Returns:
            Means and standard deviations, (points) each.
        """
        times, at = np.unique(points.times, return_inverse=True)
        known, shape = self._known, self._shape
        near = _Trainings.between(points, known)
        own, (here, there) = near.kernel(shape), np.nonzero(near.same)
        of_training = np.eye(len(known.first))[known.rows]  # (known points, known trainings)
        means, variances = np.empty((2, len(times), len(points.first)))
        # at one time the kernel is a product over trainings, which are fewer than points
        for place, time in enumerate(times):
            lines = 1 + time * known.times
            departures = shape.departure_variance * _of_times(time - known.times)
            whitened = self._whiten(of_training * lines[:, None]) @ own.T
            whitened += self._whiten(COMMON_VARIANCE * lines + departures)[:, None]
            whitened[:, here] += self._whiten(of_training * departures[:, None])[:, there]
            means[place] = self._mean + self._whitened @ whitened
            variances[place] = -np.sum(whitened**2, axis=0)
            variances[place] += (COMMON_VARIANCE + _own_variance(shape)) * (1 + time**2)
        variances = np.maximum(variances + 2 * shape.departure_variance, 0)
        deviations = np.sqrt(self._scale * (variances + self._noise))
        return means[at, points.rows], deviations[at, points.rows]

    def _whiten(self, values: np.ndarray) -> np.ndarray:
        return solve_triangular(self._cholesky, values, lower=True, check_finite=False)


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
class _Trainings:
    """How trainings compare with other trainings.

    Attributes:
        costs: (trainings, others), distances in the costs.
        features: (trainings, others), kernel over the features.
        same: (trainings, others), whether both are one training.
    """

    costs: np.ndarray
    features: np.ndarray
    same: np.ndarray

    @classmethod
    def between(cls, one: Points, other: Points) -> _Trainings:
        first, second = one.first, other.first
        return cls(
            cdist(one.costs[first], other.costs[second]),
            matern(cdist(one.features[first], other.features[second]) / FEATURE_LENGTH),
            one.training[first][:, None] == other.training[second],
        )

    def kernel(self, shape: Shape) -> np.ndarray:
        """Covariances of what trainings do not share: of their starts, and of their slopes."""
        found = matern(self.costs / shape.cost_length) + SEED_VARIANCE * self.same
        found += shape.feature_variance * self.features
        return found


@dataclass(frozen=True)
class _KernelParts:
    """The parts of the kernel between points that do not depend on its shape.

    Attributes:
        trainings: their trainings.
        at: indices that expand (trainings, trainings) to (points, points).
        lines: (points, points), kernel of lines.
        departures: (points, points), kernel of departures from lines.
    """

    trainings: _Trainings
    at: tuple[np.ndarray, ...]
    lines: np.ndarray
    departures: np.ndarray

    @classmethod
    def of(cls, points: Points) -> _KernelParts:
        trainings, at = _Trainings.between(points, points), np.ix_(points.rows, points.rows)
        # there are only as many times as rungs, so that few values of the kernel are computed
        times, places = np.unique(points.times, return_inverse=True)
        departures = _of_times(times[:, None] - times)[np.ix_(places, places)]
        departures *= 1 + trainings.same[at]
        return cls(trainings, at, 1 + points.times[:, None] * points.times, departures)


def _kernel(shape: Shape, parts: _KernelParts) -> np.ndarray:
    kernel = parts.trainings.kernel(shape)[parts.at]  # a copy, changed in place
    kernel += COMMON_VARIANCE
    kernel *= parts.lines
    kernel += shape.departure_variance * parts.departures
    return kernel


def _of_times(differences: np.ndarray) -> np.ndarray:
    return matern(np.abs(differences) / DEPARTURE_LENGTH)


def _own_variance(shape: Shape) -> float:
    return 1 + shape.feature_variance + SEED_VARIANCE


def _most_likely(parts: _KernelParts, values: np.ndarray) -> tuple[Shape, float]:
    """The pair of `SHAPES` and `NOISES` that explains values best."""
    best, found = -math.inf, (SHAPES[0], NOISES[0])
    for shape in SHAPES:
        kernel = _kernel(shape, parts)
        for noise in NOISES:
            cholesky, whitened = _whitened(kernel, noise, values)
            likelihood = -2 * float(np.log(np.diag(cholesky)).sum())
            likelihood -= (len(values) + 1) * math.log(_scale(whitened))
            if likelihood > best:
                best, found = likelihood, (shape, noise)
    return found


def _whitened(
    kernel: np.ndarray, noise: float, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The Cholesky factor of a kernel with noise, and the values that it whitens."""
    cholesky = np.linalg.cholesky(kernel + noise * np.eye(len(kernel)))
    return cholesky, solve_triangular(cholesky, values, lower=True, check_finite=False)


def _scale(whitened: np.ndarray) -> float:
    """The most likely scale of the kernel (Rasmussen and Williams, 2006, 5.8), with a prior."""
    return float((whitened @ whitened + PRIOR_SQUARE) / (len(whitened) + 1))


def _log_odds(errors: np.ndarray) -> np.ndarray:
    kept = np.clip(errors, LEAST_ERROR, 1 - LEAST_ERROR)
    return np.log(kept / (1 - kept))


def _errors(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))
