"""The expected gain of a candidate that is trained to its end, by a model of the error."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from scipy.spatial.distance import cdist

from ir2search.blas import on_one_thread
from ir2search.search.samplers.ehvi.features import features, log_scaled, matern
from ir2search.search.samplers.ehvi.gains import LEAST_ERROR, QUANTILES, mean_gains
from ir2search.space import Candidate


@dataclass(frozen=True)
class Shape:
    """Hyperparameters of the kernel; its part over the costs has variance 1.

    Attributes:
        cost_length: length scale over the costs, which range from 0 to 1.
        feature_variance: variance of the part over the features, which range from 0 to 1.
    """

    cost_length: float
    feature_variance: float


SHAPES = tuple(itertools.starmap(Shape, itertools.product((0.5, 1.5), (0.03, 0.1, 0.3))))
FEATURE_LENGTH = 2.0  # length scale over the features, of which each ranges from 0 to 1
NOISES = (0.003, 0.01, 0.03, 0.1, 0.3)  # variance between seeds
PRIOR_SQUARE = 0.3  # prior of the scale: it counts as one more result with this square


class ErrorModel:
    """A Gaussian process of the logarithm of the error, over the costs and the features.

    The two parts are added (Duvenaud, Nickisch and Rasmussen, "Additive Gaussian processes",
    NeurIPS 2011). Accuracy depends mostly on the costs, which a few results show; the features
    explain the rest. The most likely pair of `SHAPES` and `NOISES` is used.

    Args:
        costs: (results, costs), from 0 to 1.
        features: (results, features), from 0 to 1.
        errors: (results).
    """

    def __init__(self, costs: np.ndarray, features: np.ndarray, errors: np.ndarray) -> None:
        values = np.log(np.maximum(errors, LEAST_ERROR))
        self._costs, self._features, self._mean = costs, features, float(values.mean())
        distances = cdist(costs, costs), cdist(features, features)
        fits = [
            fit
            for shape in SHAPES
            for fit in _fits(shape, _kernel(shape, *distances), values - self._mean)
        ]
        self._fit = max(fits, key=lambda fit: fit.likelihood)

    def predict(self, costs: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict the logarithm of the error of trainings.

        Args:
            costs: (points, costs), from 0 to 1.
            features: (points, features), from 0 to 1.

        Returns:
            Means and standard deviations, (points) each; the seed's noise is included.
        """
        fit = self._fit
        near = _kernel(fit.shape, cdist(costs, self._costs), cdist(features, self._features))
        means = self._mean + near @ fit.weights
        variances = 1 + fit.shape.feature_variance - np.sum((near @ fit.whitening) ** 2, axis=1)
        return means, np.sqrt(fit.scale * (np.maximum(variances, 0) + fit.noise))


@on_one_thread()
def expected_gains(
    pool: Sequence[Candidate],
    pool_costs: np.ndarray,
    known: Sequence[Candidate],
    known_costs: np.ndarray,
    errors: np.ndarray,
) -> np.ndarray:
    """The hypervolume that each candidate of a pool is expected to add to the front.

    Args:
        pool: candidates to choose from.
        pool_costs: (pool, costs).
        known: candidates that were trained or are in training.
        known_costs: (known, costs).
        errors: (known), NaN for candidates in training. Their expected errors are treated as
            measured, so that several workers choose different candidates (Ginsbourger, Le Riche
            and Carraro, "Kriging is well-suited to parallelize optimization", 2010, section 3.2).

    Returns:
        (pool), hypervolumes.
    """
    costs = log_scaled(np.vstack([pool_costs, known_costs]))
    numbers = features([*pool, *known])
    new, old = slice(None, len(pool)), slice(len(pool), None)
    measured, awaited = np.isfinite(errors), np.isnan(errors)
    model = ErrorModel(costs[old][measured], numbers[old][measured], errors[measured])
    if awaited.any():
        expected, _ = model.predict(costs[old][awaited], numbers[old][awaited])
        errors = errors.copy()
        errors[awaited] = np.minimum(np.exp(expected), 1.0)
        model = ErrorModel(costs[old], numbers[old], errors)
    front = np.column_stack([errors, costs[old]])
    return gains_over(front, costs[new], *model.predict(costs[new], numbers[new]))


def gains_over(
    front: np.ndarray, costs: np.ndarray, means: np.ndarray, deviations: np.ndarray
) -> np.ndarray:
    """The hypervolume that candidates are expected to add to results.

    Args:
        front: (results, 1 + costs), errors and scaled costs; dominated results are allowed.
        costs: (candidates, costs), scaled.
        means: (candidates), of the logarithm of the error.
        deviations: (candidates), standard deviations of the logarithm of the error.

    Returns:
        (candidates), hypervolumes.
    """
    errors = np.minimum(np.exp(means[:, None] + deviations[:, None] * QUANTILES), 1.0)
    least, worst = min(errors.min(), front[:, 0].min()), front[:, 0].max()
    spread = max(worst - least, LEAST_ERROR)
    known = np.column_stack([(front[:, 0] - least) / spread, front[:, 1:]])
    known = known[moocore.is_nondominated(known)]
    return mean_gains(known, costs, (errors - least) / spread)


def farthest(pool_costs: np.ndarray, known_costs: np.ndarray) -> int:
    """The row of the candidate whose costs are farthest from those of all known candidates.

    The cheapest is chosen first, then the most expensive, then one in the middle of the widest
    gap, on a logarithmic scale (Gonzalez, "Clustering to minimize the maximum intercluster
    distance", 1985).

    Args:
        pool_costs: (pool, costs).
        known_costs: (known, costs).
    """
    costs = log_scaled(np.vstack([pool_costs, known_costs]))
    new, old = costs[: len(pool_costs)], costs[len(pool_costs) :]
    if not len(old):
        return int(np.argmin(new.sum(axis=1)))
    return int(np.argmax(cdist(new, old).min(axis=1)))


@dataclass(frozen=True)
class _Fit:
    shape: Shape
    noise: float
    scale: float
    likelihood: float
    weights: np.ndarray
    whitening: np.ndarray


def _fits(shape: Shape, kernel: np.ndarray, values: np.ndarray) -> Iterator[_Fit]:
    """One fit for each noise, at the most likely scale (Rasmussen and Williams, 2006, 5.8)."""
    spectrum, vectors = np.linalg.eigh(kernel)
    rotated, count = vectors.T @ values, len(values) + 1
    for noise in NOISES:
        variances = np.maximum(spectrum, 0) + noise
        scale = float((np.sum(rotated**2 / variances) + PRIOR_SQUARE) / count)
        likelihood = -float(np.sum(np.log(variances)) + count * math.log(scale))
        weights = vectors @ (rotated / variances)
        yield _Fit(shape, noise, scale, likelihood, weights, vectors / np.sqrt(variances))


def _kernel(shape: Shape, costs: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Covariances, from distances in the costs and in the features."""
    return matern(costs / shape.cost_length) + shape.feature_variance * matern(
        features / FEATURE_LENGTH
    )
