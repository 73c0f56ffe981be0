"""Bootstrap intervals: how much a measure would change with other images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 500
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; NaN for none.

    Attributes:
        value: value on the given images.
        low: 2.5% quantile over resampled images.
        high: 97.5% quantile over resampled images.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


class Bootstrap:
    """Resampled images, shared by all measures.

    Percentile intervals: Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of
    Statistics 1979. To compare two measures on the same images, take the interval of their
    difference: common variation cancels.

    Args:
        images: number of images.
        seed: seed of the draws.
    """

    def __init__(self, images: int, seed: int) -> None:
        generator = np.random.default_rng([seed, images])
        draws = generator.integers(0, images, (RESAMPLES, images))
        self.weights = np.stack([np.bincount(draw, minlength=images) for draw in draws]) / images

    def mean(self, values: np.ndarray) -> Estimate:
        """Estimate of the mean of (N, ...) values; NaN values are left out."""
        flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        known = ~np.isnan(flat)
        sums, counts = np.where(known, flat, 0).sum(axis=1), known.sum(axis=1)
        if not counts.any():
            return Estimate(math.nan)
        return self.ratio(sums, counts)

    def ratio(self, upper: np.ndarray, lower: np.ndarray) -> Estimate:
        """Estimate of sum(upper) / sum(lower), both (N,) over images."""
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = (self.weights @ upper) / (self.weights @ lower)
            value = float(np.sum(upper) / np.sum(lower))
        return _estimate(value, spread)

    def of_mean(self, values: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Estimate of ``measure``, (..., C) to (...), at the mean over images of (N, C) values."""
        means = self.weights @ values
        return _estimate(float(measure(values.mean(axis=0))), measure(means))

    def gram_ratio(self, one: np.ndarray, other: np.ndarray, value: float) -> Estimate:
        """Estimate of <K, L> / (|K| |L|), which is ``value``, for centred Gram matrices (N, N)."""

        def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return ((self.weights @ (a * b)) * self.weights).sum(axis=1)

        spread = product(one, other) / np.sqrt(product(one, one) * product(other, other))
        return _estimate(value, spread)


def _estimate(value: float, spread: np.ndarray) -> Estimate:
    tail = (1 - CONFIDENCE) / 2
    if np.isnan(spread).all():
        return Estimate(value)
    low, high = np.nanquantile(spread, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))
