"""Which searched parameters matter, and how: variance decomposition of a random forest.

A forest learns a result (accuracy, or a cost) from the searched parameters. Over parameters drawn
uniformly from the space, its variance is taken apart as fANOVA does (Hutter, Hoos, Leyton-Brown,
"An efficient approach for assessing hyperparameter importance", ICML 2014), here by Sobol's
indices: a parameter's main effect is the share of the variance that it explains alone, its total
effect that in which it takes part. How sure they are is seen by fitting forests to bootstrap
samples of the trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ir2search.space import Choice, Domain, Range, Value

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

ENOUGH = 10  # trained trials; of fewer nothing is said
MOST = 1000  # trials that a forest is fitted to
TREES, FORESTS = 40, 8
DRAWS = 512  # points of the space, a power of two
GRID = 9  # values of a range in a partial dependence

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Importance:
    """What forests say of the searched parameters.

    Attributes:
        effects: ``result``, ``parameter``, ``main`` and ``total`` effect from 0 to 1 (means over
            forests) and ``main_deviation``, ``total_deviation`` over them; greatest first.
        partial: ``result``, ``parameter``, ``value``, ``mean`` and ``deviation`` of the forest's
            mean over the space with the parameter at the value, in the result's unit.
        fit: R² of each result on trials that trees have not seen, 1 at best; at 0 or below, the
            forests know nothing.
        trials: how many they were fitted to.
    """

    effects: pd.DataFrame
    partial: pd.DataFrame
    fit: dict[str, float]
    trials: int


def importance(
    searched: Mapping[str, Domain], parameters: pd.DataFrame, results: pd.DataFrame, seed: int
) -> Importance | None:
    """Fit forests to trials and take them apart; None of fewer than `ENOUGH` trials.

    Args:
        searched: domains by parameter, as `SearchSpace.searched`.
        parameters: of each trial, a column each.
        results: of each trial, a column each, with the same index.
        seed: of everything random.
    """
    known = results.notna().all(axis=1) & parameters.notna().all(axis=1)
    chosen = parameters[known].index
    random = np.random.default_rng(seed)
    if len(chosen) > MOST:
        chosen = chosen[np.sort(random.choice(len(chosen), MOST, replace=False))]
    domains = {name: domain for name, domain in searched.items() if _varies(domain)}
    if len(chosen) < ENOUGH or not domains:
        return None
    table = parameters.loc[chosen]
    codes = np.stack([_codes(table[name], domain) for name, domain in domains.items()], axis=1)
    effects, partial, fit = [], [], {}
    for name in map(str, results.columns):
        values = results[name].loc[chosen].to_numpy(dtype=float)
        if np.ptp(values) == 0:
            continue
        forests, fit[name] = _forests(codes, values, random)
        effects.append(_effects(forests, domains, seed).assign(result=name))
        partial.append(_partial(forests, domains, seed).assign(result=name))
    if not effects:
        return None
    return Importance(pd.concat(effects), pd.concat(partial), fit, len(chosen))


def sobol_indices(
    function: Function, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Main and total effects of each input on a function's variance, by Jansen's estimators.

    Saltelli et al., "Variance based sensitivity analysis of model output", Computer Physics
    Communications 2010, table 2, (c) and (f).

    Args:
        function: of points (n, inputs), giving (n,).
        first: (n, inputs), independent draws of the inputs.
        second: likewise, independent of the first.
    """
    inputs = first.shape[1]
    mixed = np.repeat(first[None], inputs, axis=0)
    for i in range(inputs):
        mixed[i, :, i] = second[:, i]
    values = function(np.concatenate([first, second, *mixed])).reshape(2 + inputs, -1)
    at_first, at_second, at_mixed = values[0], values[1], values[2:]
    variance = np.concatenate([at_first, at_second]).var()
    if variance == 0:
        return np.zeros(inputs), np.zeros(inputs)
    main = 1 - ((at_second - at_mixed) ** 2).mean(axis=1) / (2 * variance)
    total = ((at_first - at_mixed) ** 2).mean(axis=1) / (2 * variance)
    return main.clip(0, 1), total.clip(0, 1)


def _forests(
    codes: np.ndarray, values: np.ndarray, random: np.random.Generator
) -> tuple[list[RandomForestRegressor], float]:
    """Forests of bootstrap samples of the trials, and R² of a forest out of its bags."""
    from sklearn.ensemble import RandomForestRegressor

    def forest(trees: int, out_of_bag: bool = False) -> RandomForestRegressor:
        state = int(random.integers(2**31))
        return RandomForestRegressor(
            trees, oob_score=out_of_bag, random_state=state, min_samples_leaf=2
        )

    fit = forest(3 * TREES, out_of_bag=True).fit(codes, values).oob_score_
    forests = []
    for _ in range(FORESTS):
        rows = random.integers(len(values), size=len(values))
        forests.append(forest(TREES).fit(codes[rows], values[rows]))
    return forests, float(fit)


def _effects(
    forests: list[RandomForestRegressor], domains: Mapping[str, Domain], seed: int
) -> pd.DataFrame:
    points = _draws(domains, 2, seed)
    found = np.array([sobol_indices(each.predict, *points) for each in forests])
    mean, deviation = found.mean(axis=0), found.std(axis=0, ddof=1)
    table = pd.DataFrame(
        {
            "parameter": list(domains),
            "main": mean[0],
            "main_deviation": deviation[0],
            "total": mean[1],
            "total_deviation": deviation[1],
        }
    )
    return table.sort_values("total", ascending=False, kind="stable").reset_index(drop=True)


def _partial(
    forests: list[RandomForestRegressor], domains: Mapping[str, Domain], seed: int
) -> pd.DataFrame:
    """Friedman, "Greedy function approximation", Annals of Statistics 2001, section 8.2."""
    (points,) = _draws(domains, 1, seed)
    points = points[: DRAWS // 4]
    rows = []
    for place, (name, domain) in enumerate(domains.items()):
        values, codes = _grid(domain)
        moved = np.repeat(points[None], len(values), axis=0)
        moved[:, :, place] = np.array(codes)[:, None]
        flat = moved.reshape(-1, points.shape[1])
        means = np.array([f.predict(flat).reshape(len(values), -1).mean(axis=1) for f in forests])
        for value, mean, spread in zip(
            values, means.mean(axis=0), means.std(axis=0, ddof=1), strict=True
        ):
            rows.append((name, value, mean, spread))
    return pd.DataFrame(rows, columns=["parameter", "value", "mean", "deviation"])


def _varies(domain: Domain) -> bool:
    return isinstance(domain, Range) or len(domain.values) > 1


def _codes(column: pd.Series, domain: Domain) -> np.ndarray:
    """Values as numbers that trees can split: a choice's position in its list, in order if it has.

    Logarithms of what is searched on a log scale.
    """
    if isinstance(domain, Choice):
        place = {value: position for position, value in enumerate(_ordered(domain))}
        return np.array([place[value] for value in column], dtype=float)
    values = column.to_numpy(dtype=float)
    return np.log(values) if domain.log else values


def _grid(domain: Domain) -> tuple[list[Value], list[float]]:
    """Values to show of a domain, and their codes."""
    if isinstance(domain, Choice):
        values = _ordered(domain)
        return values, [float(position) for position in range(len(values))]
    every = domain.values()
    if every is not None and len(every) <= 2 * GRID:
        numbers = np.array(every, dtype=float)
    elif domain.log:
        numbers = np.geomspace(domain.low, domain.high, GRID)
    else:
        numbers = np.linspace(domain.low, domain.high, GRID)
    if domain.is_whole:
        numbers = np.unique(numbers.round())
    return [float(n) for n in numbers], list(np.log(numbers) if domain.log else numbers)


def _ordered(domain: Choice) -> list[Value]:
    numbers = all(isinstance(value, int | float) for value in domain.values)
    return sorted(domain.values, key=float) if numbers else list(domain.values)


def _draws(domains: Mapping[str, Domain], count: int, seed: int) -> list[np.ndarray]:
    """So many independent sets of (DRAWS, parameters) codes, uniform over the space."""
    from scipy.stats import qmc

    unit = qmc.Sobol(count * len(domains), seed=seed).random(DRAWS)
    columns = [
        _from_unit(u, d) for u, d in zip(unit.T, list(domains.values()) * count, strict=True)
    ]
    return list(np.stack(columns, axis=1).reshape(DRAWS, count, -1).transpose(1, 0, 2))


def _from_unit(unit: np.ndarray, domain: Domain) -> np.ndarray:
    """Codes of a domain's values out of numbers from 0 to 1."""
    if isinstance(domain, Choice):
        return np.floor(unit * len(domain.values))
    every = domain.values()
    if every is not None:
        return np.array(every, dtype=float)[np.floor(unit * len(every)).astype(int)]
    low, high = (np.log(end) if domain.log else end for end in (domain.low, domain.high))
    return low + unit * (high - low)
