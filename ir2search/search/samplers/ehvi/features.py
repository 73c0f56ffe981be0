"""Candidates and costs as numbers from 0 to 1, and a kernel over them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ir2search.space import Candidate, Value

LEAST_VALUE = 1e-8  # of the recipe: a weight decay of 0 has no logarithm


def features(candidates: Sequence[Candidate]) -> np.ndarray:
    """Candidates as numbers from 0 to 1, (candidates, features).

    Numbers are scaled by their range; those of the recipe, such as learning rates, by the range of
    their logarithms. Each other value of a field is a feature that is 0 or 1. Features that are
    equal for all candidates are left out. They come from the candidate's fields, not from the
    searched parameters, so that equal networks have equal features.
    """
    rows = [_numbers(candidate) for candidate in candidates]
    names = tuple(sorted(set().union(*rows)))
    table = np.array([_row(candidate, names) for candidate in candidates])
    return _scaled(table[:, np.ptp(table, axis=0) > 0])


def log_scaled(costs: np.ndarray) -> np.ndarray:
    """Logarithms of costs, (points, costs), each scaled to range from 0 to 1.

    A cost of 0 is replaced by the lowest positive cost, or by 1 if that is lower.
    """
    least = np.min(np.where(costs > 0, costs, 1.0), axis=0, initial=1.0)
    return _scaled(np.log(np.maximum(costs, least)))


def matern(distances: np.ndarray) -> np.ndarray:
    """Matern kernel of smoothness 5/2 (Rasmussen and Williams, 2006, equation 4.17)."""
    scaled = math.sqrt(5) * distances
    return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)


@functools.lru_cache(maxsize=4096)
def _numbers(candidate: Candidate) -> Mapping[str, float]:
    numbers: dict[str, float] = {}
    for name, value in vars(candidate).items():
        if name == "recipe":
            numbers |= _recipe_numbers(dict(value))
        elif name == "taps":
            numbers |= {f"{name}={part}": 1.0 for part in value}
        elif name in ("int8_layers", "real_layers"):
            kind = name.removesuffix("_layers")
            found = candidate.released.items()
            numbers |= {f"{name}={layer}": 1.0 for layer, own in found if own == kind}
        elif isinstance(value, tuple):
            numbers |= {f"{name} {index}": float(part) for index, part in enumerate(value)}
        elif isinstance(value, int | float):
            numbers[name] = float(value)
        else:
            numbers[f"{name}={value}"] = 1.0
    return numbers


@functools.lru_cache(maxsize=4096)
def _row(candidate: Candidate, names: tuple[str, ...]) -> np.ndarray:
    """The numbers of a candidate in the order of ``names``; 0 for those that it lacks."""
    numbers = _numbers(candidate)
    return np.array([numbers.get(name, 0.0) for name in names])


def _recipe_numbers(values: Mapping[str, Value]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, str):
            numbers[f"recipe {name}={value}"] = 1.0
        else:
            numbers[f"recipe {name}"] = math.log(max(float(value), LEAST_VALUE))
    return numbers


def _scaled(table: np.ndarray) -> np.ndarray:
    """Columns shifted and scaled to range from 0 to 1."""
    spread = np.ptp(table, axis=0)
    return (table - table.min(axis=0)) / np.where(spread > 0, spread, 1.0)
