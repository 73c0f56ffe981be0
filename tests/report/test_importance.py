from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
import pytest
from scipy.stats import qmc

from ir2search.report.importance import ENOUGH, importance, sobol_indices
from ir2search.space import Choice, Range

SEARCHED = {
    "threshold": Range(0.0, 1.0),
    "lr": Range(1e-4, 1e-1, log=True),
    "fusion": Choice(("dense", "compact")),
    "depth": Choice((20, 8, 14)),
    "idle": Range(1, 8),
    "fixed": Choice((3,)),
}


def proposals(count: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "threshold": random.uniform(0, 1, count),
            "lr": 10 ** random.uniform(-4, -1, count),
            "fusion": random.choice(["dense", "compact"], count),
            "depth": random.choice([8, 14, 20], count),
            "idle": random.integers(1, 9, count),
            "fixed": 3,
        }
    )


def test_indices_of_functions_whose_variance_is_known() -> None:
    unit = qmc.Sobol(6, seed=0).random(2**13)
    first, second = unit[:, :3], unit[:, 3:]
    weights = np.array([3.0, 2.0, 0.0])
    shares = weights**2 / (weights**2).sum()  # of a sum of independent terms
    main, total = sobol_indices(lambda x: x @ weights, first, second)
    np.testing.assert_allclose(main, shares, atol=0.01)
    np.testing.assert_allclose(total, shares, atol=0.01)
    # x y over the unit square: variance 7/144, of which 1/48 each alone and 1/144 together
    main, total = sobol_indices(lambda x: x[:, 0] * x[:, 1], first, second)
    np.testing.assert_allclose(main, [3 / 7, 3 / 7, 0], atol=0.01)
    np.testing.assert_allclose(total, [4 / 7, 4 / 7, 0], atol=0.01)


@pytest.fixture(scope="module")
def told() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials whose accuracy hangs on the rate, a little on depth, and not on the rest."""
    parameters = proposals(300)
    accuracy = (
        0.5
        - 0.1 * (np.log10(parameters["lr"]) + 2.5) ** 2
        + 0.005 * parameters["depth"]
        + 0.04 * (parameters["fusion"] == "dense")
    )
    return parameters, pd.DataFrame({"accuracy": accuracy, "same": 1.0})


def test_effects_order_parameters_as_optunas_fanova_does(
    told: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    parameters, results = told
    found = importance(SEARCHED, parameters, results, seed=0)
    assert found is not None
    assert set(found.effects["result"]) == {"accuracy"}, "what never changes has no causes"
    assert found.fit["accuracy"] > 0.8
    assert found.trials == 300
    ours = found.effects.set_index("parameter")["main"]
    study = optuna.create_study(direction="maximize")
    domains = {
        "threshold": optuna.distributions.FloatDistribution(0, 1),
        "lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "fusion": optuna.distributions.CategoricalDistribution(("dense", "compact")),
        "depth": optuna.distributions.CategoricalDistribution((8, 14, 20)),
        "idle": optuna.distributions.IntDistribution(1, 8),
    }
    for row, value in zip(parameters.to_dict("records"), results["accuracy"], strict=True):
        del row["fixed"]
        study.add_trial(optuna.trial.create_trial(params=row, distributions=domains, value=value))
    theirs = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    assert set(ours.index) == set(theirs)
    shares = ours / ours.sum()
    for name, share in theirs.items():
        assert shares[name] == pytest.approx(share, abs=0.1)
    assert ours.idxmax() == "lr"


def test_partial_dependence_follows_what_is_known(
    told: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    found = importance(SEARCHED, *told, seed=0)
    assert found is not None
    partial = found.partial.set_index("parameter")
    rate = partial.loc["lr"]
    assert rate["value"].iloc[rate["mean"].argmax()] == pytest.approx(10**-2.5, rel=0.5)
    assert list(partial.loc["depth", "value"]) == [8, 14, 20]
    assert partial.loc["depth", "mean"].is_monotonic_increasing
    # forests flatten what they learn: of 0.06 between the depths, and 0.04 between the fusions
    assert 0.03 < np.ptp(partial.loc["depth", "mean"]) < 0.07
    fusion = partial.loc["fusion"].set_index("value")["mean"]
    assert 0.02 < fusion["dense"] - fusion["compact"] < 0.05
    assert np.ptp(partial.loc["idle", "mean"]) < 0.02
    assert (found.partial["deviation"] >= 0).all()


def test_the_same_seed_says_the_same_and_few_trials_nothing(
    told: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    parameters, results = told[0].head(60), told[1].head(60)
    one, two = (importance(SEARCHED, parameters, results, seed=1) for _ in range(2))
    assert one is not None
    assert two is not None
    pd.testing.assert_frame_equal(one.effects, two.effects)
    few = slice(0, ENOUGH - 1)
    assert importance(SEARCHED, parameters[few], results[few], seed=0) is None
    assert importance({}, parameters, results, seed=0) is None
