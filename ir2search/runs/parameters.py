"""Estimate which searched parameters matter for accuracy and operations, and how."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import partial_dependence
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict

from ir2search.models.families import FAMILIES
from ir2search.space import BY_STAGE, TABLES, TAP, SearchSpace, field_of
from ir2search.space.precision import by_layer, layers_of, precision_by_name

TARGETS = ("accuracy", "ops")
MIN_TRIALS = 10  # fewer trials give no result
MAX_TRIALS = 400  # more trials are sampled: functional ANOVA of 1,000 takes 18 s
FOLDS = 5
GRID_POINTS = 9  # values of a range at which the dependence is computed


@dataclass(frozen=True)
class Importance:
    """The importance of one parameter for a target.

    Attributes:
        target: ``"accuracy"`` or ``"ops"``.
        parameter: name of the parameter.
        share: importance from 0 to 1, by functional ANOVA (Hutter et al., "An efficient approach
            for assessing hyperparameter importance", ICML 2014) as `optuna.importance` computes
            it: the variance that the parameter explains alone. The shares of a target add up to 1.
    """

    target: str
    parameter: str
    share: float


@dataclass(frozen=True)
class Dependence:
    """How the prediction of a random forest depends on one parameter.

    Attributes:
        target: ``"accuracy"`` or ``"ops"``.
        parameter: name of the parameter.
        values: values of the parameter.
        mean: the prediction at each value, averaged over the trials (partial dependence: Friedman,
            "Greedy function approximation", Annals of Statistics 2001, section 8.2).
    """

    target: str
    parameter: str
    values: tuple[Any, ...]
    mean: tuple[float, ...]


@dataclass(frozen=True)
class ParameterEffects:
    """The effects of the searched parameters; empty if fewer than 10 trials are trained.

    Attributes:
        importances: of each parameter for each target.
        dependences: of each target on each parameter.
        explained: by target, the share of the variance that a random forest explains on held-out
            trials (R²). If it is near 0 or below, importances and dependences are noise.
    """

    importances: tuple[Importance, ...] = ()
    dependences: tuple[Dependence, ...] = ()
    explained: tuple[tuple[str, float], ...] = ()


def parameter_effects(trials: pd.DataFrame, space: SearchSpace, seed: int) -> ParameterEffects:
    """Estimate the effect of each searched parameter from the trained trials.

    ``trials`` are those of `ir2search.trials`. ``seed`` is that of the random forests and of the
    sample of trials.
    """
    trained = trials[trials["state"] == "trained"]
    if len(trained) < MIN_TRIALS or not space.searched:
        return ParameterEffects()
    if len(trained) > MAX_TRIALS:
        trained = trained.sample(MAX_TRIALS, random_state=seed)
    values = pd.DataFrame({name: parameter_values(trained, name) for name in space.searched})
    values = values.convert_dtypes()
    features = values.apply(_codes)
    targets = [trained[name].astype(float) for name in TARGETS if trained[name].nunique() > 1]
    return ParameterEffects(
        tuple(each for target in targets for each in _importances(values, target, seed)),
        tuple(each for target in targets for each in _dependences(values, features, target, seed)),
        tuple((str(target.name), _explained(features, target, seed)) for target in targets),
    )


def parameter_values(trials: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The values of a searched parameter by trial; a tap has the values true and false."""
    if name.startswith(TAP):
        tap = name.removeprefix(TAP)
        return trials["taps"].map(lambda taps: tap in taps if isinstance(taps, list) else False)
    if name in ("fusion_ratio", "fusion_channels"):  # a candidate records the width, not the ratio
        return trials["fusion_channels"].astype("float64").fillna(0.0)
    field = field_of(name)
    if field == "binary":
        part = name.removeprefix(TABLES[field])
        values = [_precision(trial, part) for trial in trials.to_dict("records")]
        return pd.Series(values, trials.index)
    if field in BY_STAGE:
        stage = name.removeprefix(TABLES[field])
        places = trials["backbone"].map(lambda backbone: FAMILIES[backbone].stages.index(stage))
        pairs = zip(trials[field], places, strict=True)
        return pd.Series([values[place] for values, place in pairs], trials.index)
    return trials[name]


def _precision(trial: Mapping[Hashable, Any], name: str) -> str:
    """The precision of a layer or stage of a trial's network; "mixed" if its layers differ."""
    names = (trial[field] for field in ("int8_layers", "real_layers"))
    layers = layers_of(FAMILIES[trial["backbone"]], trial["depth"])
    found = by_layer(layers, precision_by_name(*names))
    own = {found.get(each, "binary") for each in layers if f"{each}.".startswith(f"{name}.")}
    return own.pop() if len(own) == 1 else "mixed"


def _importances(values: pd.DataFrame, target: pd.Series[float], seed: int) -> Iterator[Importance]:
    study = optuna.create_study()
    distributions = {str(name): _distribution(column) for name, column in values.items()}
    rows = zip(*(column.tolist() for _, column in values.items()), strict=True)
    study.add_trials(
        create_trial(
            params=dict(zip(distributions, row, strict=True)),
            distributions=distributions,
            value=value,
        )
        for row, value in zip(rows, target, strict=True)
    )
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    for name in distributions:
        yield Importance(str(target.name), name, float(shares[name]))


def _dependences(
    values: pd.DataFrame, features: pd.DataFrame, target: pd.Series[float], seed: int
) -> Iterator[Dependence]:
    forest = _forest(seed).fit(features, target)
    categories = {str(name): _categories(column) for name, column in values.items()}
    for name, words in categories.items():
        found = partial_dependence(
            forest,
            features,
            [name],
            categorical_features=[each for each in categories if categories[each]],
            percentiles=(0, 1),
            grid_resolution=GRID_POINTS,
            kind="average",
            method="brute",
        )
        grid = found["grid_values"][0].tolist()
        shown = tuple(words[int(code)] for code in grid) if words else tuple(grid)
        yield Dependence(str(target.name), name, shown, tuple(found["average"][0].tolist()))


def _explained(features: pd.DataFrame, target: pd.Series[float], seed: int) -> float:
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    return float(r2_score(target, cross_val_predict(_forest(seed), features, target, cv=folds)))


def _forest(seed: int) -> RandomForestRegressor:
    return RandomForestRegressor(min_samples_leaf=2, random_state=seed)


def _distribution(column: pd.Series[Any]) -> BaseDistribution:
    words = _categories(column)
    if words:
        return CategoricalDistribution(words)
    return FloatDistribution(float(column.min()), float(column.max()))


def _codes(column: pd.Series[Any]) -> pd.Series[float]:
    """A column as numbers: words and booleans become their index in sorted order."""
    words = _categories(column)
    return (column.map(words.index) if words else column).astype(float)


def _categories(column: pd.Series[Any]) -> list[Any]:
    """The sorted values of a column of words or booleans; empty for a column of numbers."""
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        return []
    return sorted(column.unique().tolist())
