"""What a candidate will be worth: its accuracy is estimated, its costs are known.

Samplers treat all objectives alike and learn from trained candidates what those cost, which anyone
can count beforehand. Here only the accuracy is learned, and a candidate is chosen by the
hypervolume that it is expected to add at its true costs (Emmerich et al., "Hypervolume-based
expected improvement", CEC 2011, for one uncertain objective).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import NormalDist

import moocore
import numpy as np
from scipy.spatial.distance import cdist
from threadpoolctl import ThreadpoolController

from ir2search.space import Candidate

LEAST_ERROR = 1e-3  # below it, logarithms tell what chance did
# of the normal distribution, which they stand for
QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 7) for i in range(7)])
START = 3  # results from which one can learn
MARGIN = 1.1  # of the reference point beyond the worst values
BLAS = ThreadpoolController()


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Linear algebra on one thread: on more, small matrices can take a hundred times as long.

    That is so beside trainings, or where a container may not use all cores that it sees.
    """
    with BLAS.limit(limits=1, user_api="blas"):
        yield


def features(candidates: Sequence[Candidate]) -> np.ndarray:
    """Candidates as numbers, (candidates, features) from 0 to 1; what all share is left out.

    Numbers are scaled by their range; what is not a number is 1 where it holds. Equal networks have
    equal features, for they are of the candidate and not of the parameters that led to it.
    """
    rows = [_numbers(candidate) for candidate in candidates]
    names = sorted(set().union(*rows))
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    return _scaled(table[:, np.ptp(table, axis=0) > 0])


@functools.lru_cache(maxsize=4096)
def _numbers(candidate: Candidate) -> Mapping[str, float]:
    numbers: dict[str, float] = {}
    for name, value in candidate.as_dict().items():
        if isinstance(value, list | tuple):
            numbers |= {f"{name}={part}": 1.0 for part in value}
        elif isinstance(value, int | float):
            numbers[name] = float(value)
        else:
            numbers[f"{name}={value}"] = 1.0
    return numbers


def _scaled(table: np.ndarray) -> np.ndarray:
    """Columns moved and scaled to reach from 0 to 1."""
    spread = np.ptp(table, axis=0)
    return (table - table.min(axis=0)) / np.where(spread > 0, spread, 1.0)


def matern(distances: np.ndarray) -> np.ndarray:
    """Matern's kernel of smoothness 5/2 (Rasmussen and Williams, 2006, equation 4.17)."""
    scaled = math.sqrt(5) * distances
    return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)


@dataclass(frozen=True)
class Shape:
    """What a Gaussian process's kernel is made of, in units of the part by the costs.

    Attributes:
        reach: over which the costs, from 0 to 1, change the error.
        share: variance of what the features add, each from 0 to 1.
    """

    reach: float
    share: float


SHAPES = tuple(itertools.starmap(Shape, itertools.product((0.5, 1.5), (0.03, 0.1, 0.3))))
LENGTH = 2.0  # over which features change the error: a few of them have to, for much of a change
NOISES = (0.003, 0.01, 0.03, 0.1, 0.3)  # variance of what no feature tells, such as the seed's
DOUBT = 0.3  # the scale's prior: as one result more, of so much


class ErrorModel:
    """A Gaussian process of the logarithm of the error: by the costs, and by the features.

    The two parts are added (Duvenaud et al., "Additive Gaussian processes", NeurIPS 2011): accuracy
    is above all what is paid for, which few results show, and what else makes a network good is
    learned as a difference from that. Of `SHAPES` and `NOISES` the likeliest are taken.

    Args:
        costs: (results, costs), from 0 to 1.
        features: (results, features), from 0 to 1.
        errors: (results).
    """

    def __init__(self, costs: np.ndarray, features: np.ndarray, errors: np.ndarray) -> None:
        self._costs, self._features = costs, features
        values = np.log(np.maximum(errors, LEAST_ERROR))
        self._mean = float(values.mean())
        distances = cdist(costs, costs), cdist(features, features)
        fits = [
            fit
            for shape in SHAPES
            for fit in _fits(shape, _kernel(shape, *distances), values - self._mean)
        ]
        self._fit = max(fits, key=lambda fit: fit.likelihood)

    def predict(self, costs: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of trainings' log errors, the seeds' luck included."""
        fit = self._fit
        near = _kernel(fit.shape, cdist(costs, self._costs), cdist(features, self._features))
        means = self._mean + near @ fit.weights
        variances = 1 + fit.shape.share - np.sum((near @ fit.whitening) ** 2, axis=1)
        return means, np.sqrt(fit.scale * (np.maximum(variances, 0) + fit.noise))


@dataclass(frozen=True)
class _Fit:
    shape: Shape
    noise: float
    scale: float
    likelihood: float
    weights: np.ndarray
    whitening: np.ndarray


def _fits(shape: Shape, kernel: np.ndarray, values: np.ndarray) -> Iterator[_Fit]:
    """A shape with each noise; the scale is the likeliest (Rasmussen and Williams, 2006, 5.8)."""
    spectrum, vectors = np.linalg.eigh(kernel)
    turned, count = vectors.T @ values, len(values) + 1
    for noise in NOISES:
        variances = np.maximum(spectrum, 0) + noise
        scale = float((np.sum(turned**2 / variances) + DOUBT) / count)
        likelihood = -float(np.sum(np.log(variances)) + count * math.log(scale))
        weights = vectors @ (turned / variances)
        yield _Fit(shape, noise, scale, likelihood, weights, vectors / np.sqrt(variances))


def _kernel(shape: Shape, costs: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Covariances by distances in costs and in features."""
    return matern(costs / shape.reach) + shape.share * matern(features / LENGTH)


def expected_gains(
    front: np.ndarray, costs: np.ndarray, means: np.ndarray, deviations: np.ndarray
) -> np.ndarray:
    """Hypervolume that candidates are expected to add, (candidates).

    Args:
        front: (results, 1 + costs), errors and scaled costs of what was measured.
        costs: (candidates, costs), scaled.
        means: of the candidates' log errors.
        deviations: theirs.
    """
    errors = np.minimum(np.exp(means[:, None] + deviations[:, None] * QUANTILES), 1.0)
    least, worst = min(errors.min(), front[:, 0].min()), front[:, 0].max()
    spread = max(worst - least, LEAST_ERROR)
    known = np.column_stack([(front[:, 0] - least) / spread, front[:, 1:]])
    known = known[moocore.is_nondominated(known)]
    return mean_gains(known, costs, (errors - least) / spread)


def mean_gains(front: np.ndarray, costs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Hypervolume that points add to a front, the mean over their errors, (points).

    Args:
        front: (members, 1 + costs), errors and costs; the reference point is at `MARGIN`.
        costs: (points, costs).
        errors: (points, errors), that each may have.
    """
    if front.shape[1] == 2:
        return _gains_of_two(front, costs[:, 0], errors).mean(axis=1)
    reference = np.full(front.shape[1], MARGIN)
    volume = moocore.hypervolume(front, ref=reference) if len(front) else 0.0
    return np.array(
        [
            np.mean([
                moocore.hypervolume(np.vstack([front, [error, *price]]), ref=reference)
                for error in row
            ]) - volume
            for row, price in zip(errors, costs, strict=True)
        ]
    )  # fmt: skip


def _gains_of_two(front: np.ndarray, costs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Hypervolume that points add to a front of errors and one cost, (points, errors).

    The front is a stair: from one member's cost to the next's its error is the one to better.
    """
    front = front[np.argsort(front[:, 1])]
    ends = np.append(front[:, 1], MARGIN)
    starts = np.append(-np.inf, front[:, 1])
    to_better = np.append(MARGIN, front[:, 0])
    widths = np.maximum(ends - np.maximum(starts, costs[:, None]), 0)
    heights = np.maximum(to_better - errors[:, :, None], 0)
    return np.sum(widths[:, None, :] * heights, axis=2)


@on_one_thread()
def worth(
    pool: Sequence[Candidate],
    pool_costs: np.ndarray,
    known: Sequence[Candidate],
    known_costs: np.ndarray,
    errors: np.ndarray,
) -> np.ndarray:
    """Hypervolume that each candidate of ``pool`` is expected to add to the front, (pool).

    Args:
        pool: what may be chosen.
        pool_costs: (pool, costs).
        known: what was measured, or is in training.
        known_costs: (known, costs).
        errors: (known), NaN of those in training: what is expected of them counts as if it were
            met, so that workers spread out (Ginsbourger et al., "Kriging is well-suited to
            parallelize optimization", 2010, section 3.2).
    """
    costs = logarithms(np.vstack([pool_costs, known_costs]))
    numbers = features([*pool, *known])
    new, old = slice(None, len(pool)), slice(len(pool), None)
    met, awaited = np.isfinite(errors), np.isnan(errors)
    model = ErrorModel(costs[old][met], numbers[old][met], errors[met])
    if awaited.any():
        expected, _ = model.predict(costs[old][awaited], numbers[old][awaited])
        errors = errors.copy()
        errors[awaited] = np.minimum(np.exp(expected), 1.0)
        model = ErrorModel(costs[old], numbers[old], errors)
    front = np.column_stack([errors, costs[old]])
    return expected_gains(front, costs[new], *model.predict(costs[new], numbers[new]))


def farthest(pool_costs: np.ndarray, known_costs: np.ndarray) -> int:
    """The place of the candidate whose costs are farthest from all that were begun.

    The cheapest comes first, then the dearest, then what halves the widest gap (Gonzalez,
    "Clustering to minimize the maximum intercluster distance", 1985), on a logarithmic scale.
    """
    costs = logarithms(np.vstack([pool_costs, known_costs]))
    new, old = costs[: len(pool_costs)], costs[len(pool_costs) :]
    if not len(old):
        return int(np.argmin(new.sum(axis=1)))
    return int(np.argmax(cdist(new, old).min(axis=1)))


def expected_times(
    known_ops: Sequence[float], known_times: Sequence[float], ops: np.ndarray
) -> np.ndarray:
    """Times of networks by their operations, as the power law that fits the known ones best.

    In proportion to operations where too little is known; these themselves where nothing is.
    """
    if not len(known_times):
        return ops
    x, y = np.log(known_ops), np.log(known_times)
    slope = float(np.polyfit(x, y, 1)[0]) if np.ptp(x) > 0 and len(x) >= START else 1.0
    slope = max(slope, 0.0)
    return np.exp(np.mean(y - slope * x) + slope * np.log(ops))


def logarithms(costs: np.ndarray) -> np.ndarray:
    """Logarithms of costs, (points, costs), scaled to reach from 0 to 1; a cost of 0 is as 1."""
    least = np.min(np.where(costs > 0, costs, 1.0), axis=0, initial=1.0)
    return _scaled(np.log(np.maximum(costs, least)))
