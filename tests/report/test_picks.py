from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ir2search as ir
from ir2search.report.picks import best_by_budget
from ir2search.study.loading import parse_study
from ir2search.study.schema import Study

VALUES: dict[str, Any] = {"space": {"depth": [8, 14]}}


def front_of(*members: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "number": range(len(members)),
            "accuracy": [accuracy for accuracy, _ in members],
            "ops": [ops for _, ops in members],
        }
    )


@pytest.fixture(scope="module")
def study() -> Study:
    return parse_study(VALUES, "a.toml")


def test_a_member_has_the_smallest_round_budget_for_which_it_is_best(study: Study) -> None:
    found = best_by_budget(front_of((0.9, 1.2e6), (0.8, 0.9e6), (0.7, 30e3)), study)
    assert list(found.items()) == [(2, 30e3), (1, 1e6), (0, 1.5e6)]


def test_the_better_of_two_members_with_the_same_round_budget_is_listed(study: Study) -> None:
    found = best_by_budget(front_of((0.9, 1.2e6), (0.8, 1.1e6)), study)
    assert found == {0: 1.5e6}


members = st.lists(
    st.tuples(st.floats(0, 1), st.floats(1, 1e12)),
    min_size=1,
    max_size=12,
    unique_by=lambda m: m[1],
)


@given(members)
def test_no_member_within_a_budget_is_better_than_the_pick(
    members: list[tuple[float, float]],
) -> None:
    front = front_of(*members)
    found = best_by_budget(front, parse_study(VALUES, "a.toml"))
    for number, limit in found.items():
        accuracy, ops = members[number]
        assert ops <= limit
        assert accuracy == max(a for a, o in members if o <= limit)
    assert list(found)[-1] == int(front["accuracy"].idxmax())


def test_without_the_objective_accuracy_nothing_is_picked() -> None:
    study = parse_study({**VALUES, "objectives": ["ops", "memory"]}, "a.toml")
    assert best_by_budget(front_of((0.5, 1.0)), study) == {}


@pytest.mark.usefixtures("figures_once")
def test_a_report_lists_the_picks(finished_run: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(finished_run, tmp_path / "quick")
    ir.write_report(folder)
    best = ir.front(folder).iloc[0]
    (line,) = [
        line
        for line in (folder / "report" / "report.md").read_text().splitlines()
        if line.startswith("| ") and f" OPs | {best['number']} | " in line
    ]
    assert f"{best['accuracy']:.1%}" in line
    assert r"\toprule" in (folder / "report" / "front.tex").read_text()
