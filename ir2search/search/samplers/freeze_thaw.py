"""Whom to train next, and to which rung: whatever is worth most for an epoch.

With the sampler ``ehvi`` rungs are no contest. A Gaussian process tells from costs, features and
what was trained so far how every candidate goes on to learn, and of all that may be trained next,
new ones and those that wait at a rung, the one is taken that is expected to add most hypervolume
for each epoch it takes (Swersky, Snoek and Adams, "Freeze-Thaw Bayesian Optimization",
2014, with the gain of `surrogate`). It goes to its next rung, and there all is compared anew.

What a network gave at a rung counts: it is a network, if not wholly trained.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist

from ir2search.search.samplers.surrogate import (
    LEAST_ERROR,
    LENGTH,
    MARGIN,
    QUANTILES,
    features,
    logarithms,
    matern,
    mean_gains,
    on_one_thread,
)
from ir2search.space import Candidate

COMMON = 10.0  # variance of what all curves have in common, at the start and in their slope
LUCK = 0.02  # variance of what neither costs nor features tell of a training
BEND = 0.3  # over which a curve departs from a line, in parts of the logarithm of all epochs
NOISES = (0.002, 0.01, 0.03)
DOUBT = 0.3  # the scale's prior: as one result more, of so much


@dataclass(frozen=True)
class Shape:
    """What the kernel of learning curves is made of, in units of the part by the costs.

    Attributes:
        reach: over which the costs, from 0 to 1, change the error.
        share: variance of what the features add, each from 0 to 1.
        bends: variance of what a curve departs from a line.
    """

    reach: float
    share: float
    bends: float


SHAPES = tuple(itertools.starmap(Shape, itertools.product((0.5, 1.5), (0.02, 0.1), (0.02, 0.06))))


@dataclass(frozen=True)
class Points:
    """Places on learning curves.

    Attributes:
        who: (points), equal where they are of one training.
        costs: (points, costs), from 0 to 1.
        features: (points, features), from 0 to 1.
        times: (points), logarithms of epochs, from 0 to 1.
    """

    who: np.ndarray
    costs: np.ndarray
    features: np.ndarray
    times: np.ndarray


class CurveModel:
    """A Gaussian process of the log odds of the error over the logarithm of epochs.

    A curve is a line, which all have in common but for what costs, features and luck change, and
    small departures from it: errors fall by a power of the epochs (Domhan, Springenberg and Hutter,
    "Speeding up automatic hyperparameter optimization ...", IJCAI 2015, their ``pow``). Of `SHAPES`
    and `NOISES` the likeliest are taken.

    Args:
        known: where errors were measured.
        errors: (points).
        like: a model whose shape, noise and scale are taken.
    """

    def __init__(self, known: Points, errors: np.ndarray, like: CurveModel | None = None) -> None:
        values = _log_odds(errors)
        self._known, self._mean = known, float(values.mean())
        values, near, count = values - self._mean, _near(known, known), len(values) + 1
        best, self._shape, self._noise, self._scale = -math.inf, SHAPES[0], NOISES[0], 1.0
        for shape in SHAPES if like is None else (like._shape,):
            kernel = _kernel(shape, near)
            for noise in NOISES if like is None else (like._noise,):
                root = np.linalg.cholesky(kernel + noise * np.eye(len(kernel)))
                white = solve_triangular(root, values, lower=True, check_finite=False)
                scale = float((white @ white + DOUBT) / count)
                likelihood = -2 * float(np.log(np.diag(root)).sum()) - count * math.log(scale)
                if likelihood > best:
                    best, self._shape, self._noise, self._scale = likelihood, shape, noise, scale
                    self._root, self._white = root, white
        if like is not None:
            self._scale = like._scale

    def predict(self, points: Points) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of log odds, (points) each."""
        near = _kernel(self._shape, _near(points, self._known))
        white = solve_triangular(self._root, near.T, lower=True, check_finite=False)
        squares = points.times**2
        own = COMMON * (1 + squares) + 2 * self._shape.bends
        own += (1 + self._shape.share + LUCK) * (1 + squares)
        variances = own - np.sum(white**2, axis=0)
        deviations = np.sqrt(self._scale * (np.maximum(variances, 0) + self._noise))
        return self._mean + self._white @ white, deviations


@dataclass(frozen=True)
class _Near:
    """How near points are to other points, and trainings to other trainings.

    Attributes:
        costs: (trainings, trainings), distances.
        features: the same, their kernel.
        same: the same, whether they are one.
        at: the trainings of (points, points).
        lines: (points, points), the kernel of lines.
        bends: the same, that of departures from them.
    """

    costs: np.ndarray
    features: np.ndarray
    same: np.ndarray
    at: tuple[np.ndarray, ...]
    lines: np.ndarray
    bends: np.ndarray


def _near(one: Points, other: Points) -> _Near:
    """What is the same for all shapes, and for all points of a training."""
    (names, first, rows), (others, second, columns) = (
        np.unique(points.who, return_index=True, return_inverse=True) for points in (one, other)
    )
    same, at = names[:, None] == others, np.ix_(rows, columns)
    bends = matern(np.abs(one.times[:, None] - other.times) / BEND)
    return _Near(
        cdist(one.costs[first], other.costs[second]),
        matern(cdist(one.features[first], other.features[second]) / LENGTH),
        same,
        at,
        1 + one.times[:, None] * other.times,
        bends * (1 + same[at]),
    )


def _kernel(shape: Shape, near: _Near) -> np.ndarray:
    apart = matern(near.costs / shape.reach) + LUCK * near.same + shape.share * near.features
    return (COMMON + apart[near.at]) * near.lines + shape.bends * near.bends


def _log_odds(errors: np.ndarray) -> np.ndarray:
    kept = np.clip(errors, LEAST_ERROR, 1 - LEAST_ERROR)
    return np.log(kept / (1 - kept))


@on_one_thread()
def worth_an_epoch(
    candidates: Sequence[Candidate],
    costs: np.ndarray,
    errors: np.ndarray,
    levels: Sequence[int],
    closed: np.ndarray,
    towards: np.ndarray,
) -> np.ndarray:
    """Hypervolume that each candidate is expected to add for an epoch, (candidates).

    At the rung ahead of it where that is most; -infinity where it is not trained now.

    Args:
        candidates: begun ones and new ones, each once.
        costs: (candidates, costs).
        errors: (candidates, levels), NaN where a candidate has not been; some have.
        levels: epochs of each rung.
        closed: (candidates), those that are not trained now.
        towards: (candidates), the level that each is on its way to, -1 of those in no training.
            What is expected of it there counts as if it were met, so that workers spread out
            (Ginsbourger et al., "Kriging is well-suited to parallelize optimization", 2010, 3.2).
    """
    costs, numbers = logarithms(costs), features(candidates)
    times = np.log(levels) / math.log(max(*levels, 2))
    who, at = (places.ravel() for places in np.indices(errors.shape))

    def points(chosen: np.ndarray) -> Points:
        rows = who[chosen]
        return Points(rows, costs[rows], numbers[rows], times[at[chosen]])

    met = np.isfinite(errors.ravel())
    model = CurveModel(points(met), errors.ravel()[met])
    if (towards >= 0).any():
        errors, awaited = errors.copy(), np.arange(len(levels)) == towards[:, None]
        errors[awaited] = _errors(model.predict(points(awaited.ravel()))[0])
        met = np.isfinite(errors.ravel())
        model = CurveModel(points(met), errors.ravel()[met], like=model)
    means, deviations = model.predict(points(np.ones(errors.size, dtype=bool)))
    final = _errors(means).reshape(errors.shape)[:, -1]
    least, worst = min(final.min(), np.nanmin(errors)), final.max()
    spread = max(worst - least, LEAST_ERROR)
    front = np.column_stack([(errors.ravel()[met] - least) / spread, costs[who[met]]])
    front = front[front[:, 0] < MARGIN]
    front = front[moocore.is_nondominated(front)] if len(front) else front
    foreseen = _errors(means[:, None] + deviations[:, None] * QUANTILES)
    ahead = np.isnan(errors) & ~closed[:, None]
    open_ = ahead.ravel()
    gains = mean_gains(front, costs[who[open_]], (foreseen[open_] - least) / spread)
    reached = np.where(met.reshape(errors.shape), levels, 0).max(axis=1)
    rates = np.full(errors.size, -np.inf)
    rates[open_] = gains / (np.asarray(levels)[at[open_]] - reached[who[open_]])
    return rates.reshape(errors.shape).max(axis=1)


def _errors(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))
