"""Estimate which searched parameters matter for accuracy and operations, and how."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import partial_dependence
from sklearn.model_selection import KFold, cross_val_predict

from ir2search.models.families import FAMILIES
from ir2search.space import BY_STAGE, TABLES, TAP, Domain, Range, SearchSpace, field_of
from ir2search.space.precision import by_layer, layers_of, precision_by_name

TARGETS = ("accuracy", "ops")
MIN_TRIALS = 20  # fewer trials give no result: of 12, an R² of 0.5 has an interval of nearly 1
MAX_TRIALS = 400  # more trials are sampled: functional ANOVA of 1,000 takes 18 s
FOLDS = 5
GRID_POINTS = 9  # values of a continuous range at which the dependence is computed
RESAMPLES = 1000  # of the trials, for an interval


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
        values: values of the parameter: those that the trials have, or even steps of a continuous
            range.
        is_continuous: whether there are values between these.
        mean: the prediction at each value, averaged over the trials (partial dependence: Friedman,
            "Greedy function approximation", Annals of Statistics 2001, section 8.2).
    """

    target: str
    parameter: str
    values: tuple[Any, ...]
    is_continuous: bool
    mean: tuple[float, ...]


@dataclass(frozen=True)
class Explained:
    """How well a random forest predicts a target of trials that it was not fitted to.

    Attributes:
        target: ``"accuracy"`` or ``"ops"``.
        share: the share of the variance that it explains (R², 5-fold cross-validation).
        low: lower end of its 95% bootstrap interval over trials.
        high: upper end.
    """

    target: str
    share: float
    low: float
    high: float

    @property
    def is_measurable(self) -> bool:
        """Whether the interval is above zero; if it is not, importances are noise."""
        return self.low > 0


@dataclass(frozen=True)
class ParameterEffects:
    """The effects of the searched parameters; empty if fewer than 20 trials are trained.

    Attributes:
        importances: of each parameter for each target that can be predicted.
        dependences: of each such target on each parameter.
        explained: how well each target can be predicted.
    """

    importances: tuple[Importance, ...] = ()
    dependences: tuple[Dependence, ...] = ()
    explained: tuple[Explained, ...] = ()


def parameter_effects(trials: pd.DataFrame, space: SearchSpace, seed: int) -> ParameterEffects:
    """Estimate the effect of each searched parameter from the trained trials.

    A target whose variance the parameters do not measurably explain has no effects, see
    `Explained`. ``trials`` are those of `ir2search.trials`. ``seed`` is that of the random forests
    and of the sample of trials.
    """
    trained = trials[trials["state"] == "trained"]
    if len(trained) < MIN_TRIALS or not space.searched:
        return ParameterEffects()
    if len(trained) > MAX_TRIALS:
        trained = trained.sample(MAX_TRIALS, random_state=seed)
    values = pd.DataFrame({name: parameter_values(trained, name) for name in space.searched})
    values = values.convert_dtypes()
    features = values.apply(_codes)
    targets = {name: trained[name].astype(float) for name in TARGETS if trained[name].nunique() > 1}
    explained = tuple(_explained(features, target, seed) for target in targets.values())
    shown = [targets[each.target] for each in explained if each.is_measurable]
    continuous = {name for name, domain in space.searched.items() if _is_continuous(name, domain)}
    return ParameterEffects(
        tuple(each for target in shown for each in _importances(values, target, seed)),
        tuple(
            each
            for target in shown
            for each in _dependences(values, features, target, continuous, seed)
        ),
        explained,
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


def _is_continuous(name: str, domain: Domain) -> bool:
    """Whether every value between two values can be tried; a fusion ratio becomes a whole width."""
    return isinstance(domain, Range) and domain.count is None and name != "fusion_ratio"


def _dependences(
    values: pd.DataFrame,
    features: pd.DataFrame,
    target: pd.Series[float],
    continuous: Collection[str],
    seed: int,
) -> Iterator[Dependence]:
    forest = _forest(seed).fit(features, target)
    categories = {str(name): _categories(column) for name, column in values.items()}
    for name, words in categories.items():
        # with a finer grid than there are values, scikit-learn takes the values themselves
        points = GRID_POINTS if name in continuous else features[name].nunique() + 1
        found = partial_dependence(
            forest,
            features,
            [name],
            categorical_features=[each for each in categories if categories[each]] or None,
            percentiles=(0, 1),
            grid_resolution=points,
            kind="average",
            method="brute",
        )
        grid = found["grid_values"][0].tolist()
        shown = tuple(words[int(code)] for code in grid) if words else tuple(grid)
        mean = tuple(found["average"][0].tolist())
        yield Dependence(str(target.name), name, shown, name in continuous, mean)


def _explained(features: pd.DataFrame, target: pd.Series[float], seed: int) -> Explained:
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    known = target.to_numpy()
    predicted = cross_val_predict(_forest(seed), features, target, cv=folds)
    drawn = np.random.default_rng(seed).integers(0, len(known), (RESAMPLES, len(known)))
    shares = _r_squared(known[drawn], predicted[drawn])
    low, high = np.quantile(shares[np.isfinite(shares)], (0.025, 0.975))
    share = float(_r_squared(known, predicted))
    return Explained(str(target.name), share, float(low), float(high))


def _r_squared(known: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """R² over the last axis; minus infinity or NaN where all known values are equal."""
    left = ((known - predicted) ** 2).sum(axis=-1)
    spread = ((known - known.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1 - left / spread)


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
