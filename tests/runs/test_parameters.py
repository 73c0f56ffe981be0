from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ir2search.runs.parameters import ParameterEffects, parameter_effects
from ir2search.space import SearchSpace
from ir2search.study.loading import parse_study

SPACE = {
    "depth": [8, 14, 20],
    "threshold": {"low": 0.0, "high": 1.0},
    "fusion": ["dense", "compact"],
    "taps": {"stem": [True, False]},
}


pytestmark = pytest.mark.xdist_group("parameters")  # its fixtures are made once


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return parse_study({"space": SPACE}, "a.toml").space


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    """Accuracy depends on the tap and the square of the threshold; OPs on the depth alone."""
    generator = np.random.default_rng(0)
    size = 120
    depth = generator.choice([8, 14, 20], size)
    threshold = generator.uniform(0, 1, size)
    tap = generator.choice([True, False], size)
    return pd.DataFrame(
        {
            "state": "trained",
            "depth": depth,
            "threshold": threshold,
            "fusion": generator.choice(["dense", "compact"], size),
            "taps": [["stem"] if each else [] for each in tap],
            "accuracy": 0.5 + 0.2 * tap + 0.1 * threshold**2,
            "ops": 1000.0 * depth,
        }
    )


@pytest.fixture(scope="module")
def found(trials: pd.DataFrame, space: SearchSpace) -> ParameterEffects:
    return parameter_effects(trials, space, seed=0)


def test_parameters_that_change_the_target_are_the_important_ones(found: ParameterEffects) -> None:
    shares = {(each.target, each.parameter): each.share for each in found.importances}
    accuracy = {name: share for (target, name), share in shares.items() if target == "accuracy"}
    assert sorted(accuracy, key=lambda name: -accuracy[name])[:2] == ["tap_stem", "threshold"]
    assert sum(accuracy.values()) == pytest.approx(1)
    assert shares["ops", "depth"] > 0.95
    assert all(each.share > 0.95 and each.is_measurable for each in found.explained)
    assert all(each.low - 1e-9 < each.share < each.high + 1e-9 for each in found.explained)


def test_dependence_shows_the_effect_of_a_parameter(found: ParameterEffects) -> None:
    by = {(each.target, each.parameter): each for each in found.dependences}
    tap = by["accuracy", "tap_stem"]
    effect = dict(zip(tap.values, tap.mean, strict=True))
    assert effect[True] - effect[False] == pytest.approx(0.2, abs=0.02)
    depth = by["ops", "depth"]
    assert depth.values == (8, 14, 20)
    assert depth.mean == pytest.approx((8000, 14000, 20000), rel=0.03)
    threshold = by["accuracy", "threshold"]
    assert len(threshold.values) == 9
    assert threshold.is_continuous
    assert not depth.is_continuous
    assert threshold.mean[-1] - threshold.mean[0] == pytest.approx(0.1, abs=0.02)
    assert by["accuracy", "fusion"].values == ("compact", "dense")


def test_noise_has_no_importances(trials: pd.DataFrame, space: SearchSpace) -> None:
    noise = trials.assign(accuracy=np.random.default_rng(1).uniform(0, 1, len(trials)))
    found = parameter_effects(noise, space, seed=0)
    explained = {each.target: each for each in found.explained}
    assert not explained["accuracy"].is_measurable
    assert explained["ops"].share > 0.9
    assert {each.target for each in found.importances} == {"ops"}
    assert {each.target for each in found.dependences} == {"ops"}


def test_only_values_that_exist_have_a_dependence() -> None:
    space = parse_study({"space": {"depth": {"low": 8, "high": 50, "step": 6}}}, "a.toml").space
    depth = np.repeat(range(8, 51, 6), 5)
    trials = pd.DataFrame(
        {"state": "trained", "depth": depth, "accuracy": 0.5, "ops": 10.0 * depth}
    )
    (found,) = parameter_effects(trials, space, seed=0).dependences
    assert found.values == (8, 14, 20, 26, 32, 38, 44, 50)
    assert not found.is_continuous


def test_too_few_trained_trials_give_no_effects(trials: pd.DataFrame, space: SearchSpace) -> None:
    assert parameter_effects(trials.head(19), space, seed=0) == ParameterEffects()
    assert parameter_effects(trials.assign(state="failed"), space, seed=0) == ParameterEffects()


def test_the_effects_are_the_same_each_time(trials: pd.DataFrame, space: SearchSpace) -> None:
    first, second = (parameter_effects(trials.head(20), space, seed=3) for _ in range(2))
    assert first == second
