from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ir2search as ir
from ir2search.errors import RunError
from ir2search.runs import Run, front_of, json_rows, tables
from ir2search.runs.tables import knee, minimised, without_constants
from ir2search.study import Study
from ir2search.study.loading import parse_study

STUDY = parse_study({"space": {}, "objectives": ["accuracy", "ops", "memory"]}, "a.toml")
two = STUDY.model_copy(update={"objectives": ("accuracy", "ops")})


def table(rows: list[tuple[float, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["accuracy", "ops", "memory_bytes"])
    return frame.assign(number=range(len(rows)), state="trained")


def dominates(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one <= other).all() and (one < other).any())


points = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=25
)


@given(points)
def test_the_front_agrees_with_a_comparison_of_all_pairs(
    rows: list[tuple[int, int, int]],
) -> None:
    trials = table([(accuracy / 5, ops, memory) for accuracy, ops, memory in rows])
    values = minimised(trials, STUDY)
    expected = {tuple(row) for row in values if not any(dominates(other, row) for other in values)}
    members = front_of(trials, STUDY)
    assert {tuple(row) for row in minimised(members, STUDY)} == expected
    assert len(members) == len(expected), "of equal members one"
    assert members["accuracy"].is_monotonic_decreasing


def test_only_trained_trials_are_on_the_front() -> None:
    trials = table([(0.9, 10, 10), (0.5, 20, 20)])
    trials.loc[0, "state"] = "failed"
    assert list(front_of(trials, STUDY)["number"]) == [1]
    assert front_of(trials.iloc[:0], STUDY).empty


@pytest.mark.parametrize(("trials", "tested"), [("front", [2]), ("all", [2, 3])])
def test_networks_that_were_only_inherited_are_not_confirmed(
    trials: str, tested: list[int]
) -> None:
    study = parse_study({"space": {}, "confirm": {"trials": trials}}, "a.toml")
    found = table([(0.95, 10, 1), (0.9, 20, 1), (0.8, 30, 1), (0.7, 40, 1)])
    found["how"] = ["inherited", "fine-tuned", "trained", "trained"]
    assert tables.tested_trials(found, study)["number"].tolist() == tested


def test_the_knee_is_where_the_front_bends() -> None:
    # errors 0.0, 0.1, 1.0 at costs 100, 10, 0: scaled sums 1.0, 0.2, 1.0
    members = table([(1.0, 100, 1), (0.9, 10, 1), (0.0, 0, 1)])
    assert knee(members, two) == 1
    assert knee(members.iloc[:1], two) == 0


def test_best_knee_or_a_number_picks_a_trial(finished_run: Path) -> None:
    front = ir.front(finished_run)
    assert Run.open(finished_run).pick("best") == front["number"].iloc[0]
    assert Run.open(finished_run).pick("knee") in set(front["number"])
    trained = ir.trials(finished_run).query("state == 'trained'")["number"]
    assert Run.open(finished_run).pick(str(trained.iloc[-1])) == trained.iloc[-1]
    assert Run.open(finished_run).pick(int(trained.iloc[-1])) == trained.iloc[-1]


def test_a_front_shows_no_setting_that_its_networks_share(finished_run: Path) -> None:
    whole, short = Run.open(finished_run).front(), ir.front(finished_run)
    assert len(whole) > 1
    assert {"number", "accuracy", "test_accuracy", "ops", "memory_bytes"} <= set(short)
    left_out = set(whole) - set(short)
    assert {"state", "depth", "backbone", "classes"} <= left_out
    assert all(len(set(map(str, whole[name]))) == 1 for name in left_out)
    assert list(ir.front(finished_run, constant=True)) == list(whole)
    assert list(without_constants(whole.iloc[:1])) == list(whole), "one network is described"


@pytest.mark.parametrize("which", ["worst", "999", "-1", "1.0", ""])
def test_an_unknown_trial_lists_the_trained_ones(finished_run: Path, which: str) -> None:
    with pytest.raises(RunError, match=r"give best, knee, or one of 0, "):
        Run.open(finished_run).pick(which)


def test_status_counts_every_trial_once(finished_run: Path) -> None:
    status = ir.status(finished_run)
    assert sum(status.counts.values()) == len(ir.trials(finished_run))
    assert status.counts["trained"] == status.asked == 5


def test_json_rows_have_none_for_missing_values() -> None:
    frame = pd.DataFrame({"a": [0.1 + 0.2, None], "b": pd.array([2, None], dtype="Int64")})
    assert json_rows(frame.assign(c=[["x"], []])) == [
        {"a": pytest.approx(0.3, abs=1e-14), "b": 2, "c": ["x"]},
        {"a": None, "b": None, "c": []},
    ]


def test_a_study_without_accuracy_has_a_front(tmp_path: Path) -> None:
    values: dict[str, Any] = {"space": {}, "objectives": ["ops", "memory"]}
    study: Study = parse_study(values, "a.toml")
    members = front_of(table([(0.1, 1, 9), (0.9, 5, 5), (0.5, 6, 6)]), study)
    assert set(members["number"]) == {0, 1}
