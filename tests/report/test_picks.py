from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir2search.report.picks import picks, round_within


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (83_600, math.inf, 90_000),
        (12_100, 30_300, 20_000),
        (30_300, 58_900, 40_000),
        (970_000, 1_200_000, 1_000_000),
        (1_012_000, 1_090_000, 1_020_000),
        (1_010_000, 1_200_000, 1_100_000),
        (1_234, 1_236, 1_234),
        (0.5, 0.7, 0.5),
    ],
)
def test_a_budget_is_the_roundest_number_there_is(low: float, high: float, expected: float) -> None:
    assert round_within(low, high) == expected


rows = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 10**7)), min_size=1, max_size=25)


@given(rows)
def test_a_pick_is_the_most_accurate_that_its_budget_buys(rows: list[tuple[int, int]]) -> None:
    trials = pd.DataFrame(rows, columns=["accuracy", "ops"]).assign(state="trained")
    trials["accuracy"] /= 1000
    trials["number"] = range(len(trials))
    found = picks(trials, ["ops"], rows=100)
    assert list(found["budget"]) == sorted(found["budget"])
    best = {trials.loc[trials["ops"] <= budget, "accuracy"].max() for budget in trials["ops"]}
    assert len(found) == len(best), "every step of the front has its budget"
    for row in found.itertuples():
        within = trials[trials["ops"] <= row.budget]
        assert trials["accuracy"][row.number] == within["accuracy"].max()


def test_a_long_front_is_told_by_its_ends_and_greatest_rises() -> None:
    trials = pd.DataFrame(
        {
            "number": range(6),
            "state": "trained",
            "accuracy": [0.1, 0.5, 0.51, 0.8, 0.81, 0.82],
            "ops": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        }
    )
    assert list(picks(trials, ["ops"], rows=4)["number"]) == [0, 1, 3, 5]
    untrained = trials.assign(state="stopped")
    assert picks(untrained, ["ops"]).empty
