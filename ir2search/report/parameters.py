"""Which searched parameters matter, and how accuracy and operations depend on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from ir2search.space import TAP, Choice, SearchSpace

FEWEST = 10  # trials, below which nothing is said
MOST = 1000  # trials that forests learn from
TREES = 100
FOLDS = 5
POINTS = 9  # of a range, at which dependence is shown
AVERAGED = 200  # trials over which it is averaged


@dataclass(frozen=True)
class Importance:
    """How much a forest's prediction of trials that it has not seen needs a parameter.

    Attributes:
        target: ``"accuracy"`` or ``"ops"``.
        parameter: of the search space.
        mean: rise of the squared error when the parameter's values are shuffled among those
            trials, as a share of the target's variance (permutation importance: Breiman, "Random
            forests", Machine Learning 2001, section 10), over five folds.
        deviation: standard deviation over folds and shufflings.
    """

    target: str
    parameter: str
    mean: float
    deviation: float


@dataclass(frozen=True)
class Dependence:
    """How a forest's prediction depends on one parameter, all others as they were.

    Attributes:
        target: ``"accuracy"`` or ``"ops"``.
        parameter: of the search space.
        values: of the parameter.
        mean: the prediction at each (partial dependence: Friedman, "Greedy function approximation",
            Annals of Statistics 2001, section 8.2), averaged over trials.
        deviation: its standard deviation over the forest's trees.
    """

    target: str
    parameter: str
    values: tuple[Any, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class ParameterStudy:
    """What a run's trials say of the searched parameters.

    Attributes:
        importances: empty where there are too few trials.
        dependences: likewise.
        explained: by target, the share of the variance of unseen trials that the forest explains
            (R²); where it is near 0 or below, importances and dependences say nothing.
    """

    importances: tuple[Importance, ...] = ()
    dependences: tuple[Dependence, ...] = ()
    explained: tuple[tuple[str, float], ...] = ()


def study_parameters(trials: pd.DataFrame, space: SearchSpace, seed: int) -> ParameterStudy:
    """Learn from a run's trained trials.

    Args:
        trials: as `ir2search.trials` gives them.
        space: the study's.
        seed: of the forests.
    """
    trained = trials[trials["state"] == "trained"]
    names = list(space.searched)
    if len(trained) < FEWEST or not names:
        return ParameterStudy()
    if len(trained) > MOST:
        trained = trained.sample(MOST, random_state=seed)
    features = np.stack([_column(trained, space, name) for name in names], axis=1)
    importances: list[Importance] = []
    dependences: list[Dependence] = []
    explained: list[tuple[str, float]] = []
    for target in ("accuracy", "ops"):
        values = trained[target].to_numpy(dtype=np.float64)
        if np.ptp(values) == 0:
            continue
        found, share = _importances(features, values, seed)
        importances += [
            Importance(target, name, float(np.mean(drops)), float(np.std(drops)))
            for name, drops in zip(names, found, strict=True)
        ]
        explained.append((target, share))
        dependences += _dependences(features, values, space, target, seed)
    return ParameterStudy(tuple(importances), tuple(dependences), tuple(explained))


def parameter_values(trials: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The values that a searched parameter had, by trial; a tap's are true and false."""
    if name.startswith(TAP):
        tap = name.removeprefix(TAP)
        return trials["taps"].map(lambda taps: tap in taps if isinstance(taps, list) else False)
    if name == "fusion_ratio":  # a candidate has the width that comes of it
        return trials["fusion_channels"].astype("float64").fillna(0.0)
    return trials[name]


def _column(trials: pd.DataFrame, space: SearchSpace, name: str) -> np.ndarray:
    """A parameter as numbers: those of a list of words are their places in it."""
    values = parameter_values(trials, name)
    domain = space.searched[name]
    if isinstance(domain, Choice) and any(isinstance(value, str) for value in domain.values):
        places = {value: place for place, value in enumerate(domain.values)}
        values = values.map(lambda value: places.get(value, -1))
    return values.to_numpy(dtype=np.float64, na_value=0.0)


def _importances(features: np.ndarray, values: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """Rises of the error by (parameter, fold and shuffling), and R² over all folds."""
    drops, predicted = [], np.empty_like(values)
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        forest = _forest(seed).fit(features[seen], values[seen])
        predicted[unseen] = forest.predict(features[unseen])
        shuffled = permutation_importance(
            forest, features[unseen], values[unseen],
            scoring="neg_mean_squared_error", n_repeats=3, random_state=seed,
        )  # fmt: skip
        drops.append(shuffled.importances / values.var())
    return np.concatenate(drops, axis=1), float(r2_score(values, predicted))


def _dependences(
    features: np.ndarray, values: np.ndarray, space: SearchSpace, target: str, seed: int
) -> Iterator[Dependence]:
    forest = _forest(seed).fit(features, values)
    sample = features[np.random.default_rng(seed).permutation(len(features))[:AVERAGED]]
    for at, name in enumerate(space.searched):
        shown, numbers = _grid(features[:, at], space, name)
        averaged = np.repeat(sample[None], len(numbers), axis=0)
        averaged[:, :, at] = np.asarray(numbers)[:, None]
        flat = averaged.reshape(-1, features.shape[1])
        trees = np.stack([tree.predict(flat) for tree in forest.estimators_])
        means = trees.reshape(len(trees), len(numbers), -1).mean(axis=2)
        mean, deviation = means.mean(axis=0).tolist(), means.std(axis=0).tolist()
        yield Dependence(target, name, shown, tuple(mean), tuple(deviation))


def _grid(column: np.ndarray, space: SearchSpace, name: str) -> tuple[tuple[Any, ...], list[float]]:
    """Values at which dependence is shown, as people know them and as the forest does."""
    domain = space.searched[name]
    if isinstance(domain, Choice) and name != "fusion_ratio":
        words = any(isinstance(value, str) for value in domain.values)
        numbers = range(len(domain.values)) if words else map(float, domain.values)
        return tuple(domain.values), list(map(float, numbers))
    tried = np.unique(column)
    if len(tried) > POINTS:
        tried = np.linspace(tried[0], tried[-1], POINTS)
    return tuple(tried.tolist()), tried.tolist()


def _forest(seed: int) -> RandomForestRegressor:
    return RandomForestRegressor(TREES, min_samples_leaf=2, random_state=seed)
