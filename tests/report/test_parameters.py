from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ir2search.report.parameters import ParameterStudy, study_parameters
from ir2search.space import SearchSpace
from ir2search.study.schema import parse_study

SPACE = {
    "depth": [8, 14, 20],
    "threshold": {"low": 0.0, "high": 1.0},
    "fusion": ["dense", "compact"],
    "taps": {"stem": [True, False]},
}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return parse_study({"space": SPACE}, "a.toml").space


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    """Accuracy comes of the tap and of the threshold's square; OPs of depth alone."""
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
def found(trials: pd.DataFrame, space: SearchSpace) -> ParameterStudy:
    return study_parameters(trials, space, seed=0)


def test_what_makes_the_difference_is_found(found: ParameterStudy) -> None:
    shares = {(each.target, each.parameter): each.mean for each in found.importances}
    accuracy = {name: share for (target, name), share in shares.items() if target == "accuracy"}
    assert sorted(accuracy, key=lambda name: -accuracy[name])[:2] == ["tap_stem", "threshold"]
    assert shares["ops", "depth"] > 1, "shuffled, depth is worse than knowing nothing"
    for name in ("threshold", "fusion", "tap_stem"):
        assert abs(shares["ops", name]) < 0.01
    assert all(share > 0.95 for _, share in found.explained)


def test_dependence_is_the_effect_that_there_is(found: ParameterStudy) -> None:
    by = {(each.target, each.parameter): each for each in found.dependences}
    tap = by["accuracy", "tap_stem"]
    effect = dict(zip(tap.values, tap.mean, strict=True))
    assert effect[True] - effect[False] == pytest.approx(0.2, abs=0.02)
    depth = by["ops", "depth"]
    assert depth.values == (8, 14, 20)
    assert depth.mean == pytest.approx((8000, 14000, 20000), rel=0.03)
    threshold = by["accuracy", "threshold"]
    assert len(threshold.values) == 9
    assert threshold.mean[-1] - threshold.mean[0] == pytest.approx(0.1, abs=0.02)
    assert by["accuracy", "fusion"].values == ("dense", "compact")


def test_of_noise_the_forest_explains_nothing(trials: pd.DataFrame, space: SearchSpace) -> None:
    noise = trials.assign(accuracy=np.random.default_rng(1).uniform(0, 1, len(trials)))
    explained = dict(study_parameters(noise, space, seed=0).explained)
    assert explained["accuracy"] < 0.1
    assert explained["ops"] > 0.9


def test_of_few_trials_nothing_is_said(trials: pd.DataFrame, space: SearchSpace) -> None:
    assert study_parameters(trials.head(9), space, seed=0) == ParameterStudy()
    assert study_parameters(trials.assign(state="failed"), space, seed=0) == ParameterStudy()
