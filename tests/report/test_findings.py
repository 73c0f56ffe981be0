from __future__ import annotations

from pathlib import Path

import pandas as pd

from ir2search.report.data import report_data
from ir2search.report.findings import (
    budgets_finding,
    candidates_finding,
    curves_finding,
    failures_finding,
    front_finding,
    not_measurable,
    parameters_finding,
    progress_finding,
)
from ir2search.runs import Run
from ir2search.runs.parameters import Explained, Importance
from ir2search.text import percent


def trials(*hypervolumes: float) -> pd.DataFrame:
    table = pd.DataFrame({"hypervolume": hypervolumes, "state": "trained"})
    return table.assign(number=table.index)


def test_progress_says_when_the_front_was_almost_complete() -> None:
    assert progress_finding(trials(0.1, 0.5, 0.79, 0.8, 0.8, 0.8, 0.8, 0.8)) == (
        "After 3 of 8 trials the front had 95% of its final hypervolume; its last member is "
        "trial 3."
    )
    assert "so more trials may still improve it" in progress_finding(
        trials(0.1, 0.2, 0.3, 0.4, 0.5)
    )


def test_the_front_is_described_by_the_values_that_its_networks_share() -> None:
    table = trials(*[0.5] * 4).assign(
        on_front=[True, True, False, False], depth=[8, 8, 14, 8], width=[0.25, 0.5, 0.5, 0.5]
    )
    assert candidates_finding(table, ["depth", "width"]) == (
        "All 2 networks of the front have depth 8 (3 of 4 candidates); they differ in width."
    )
    assert "share no value" in candidates_finding(table, ["width"])
    assert candidates_finding(table.assign(on_front=[True, False, False, False]), ["depth"]) == ""


def test_a_short_search_has_no_sentence() -> None:
    assert progress_finding(trials(0.1, 0.5, 0.6, 0.7)) == ""
    assert progress_finding(trials(0, 0, 0, 0, 0, 0)) == ""


def test_curves_say_whether_the_front_still_improved() -> None:
    rows = [(0, 1, 0.5), (0, 2, 0.7), (1, 1, 0.8), (1, 2, 0.6), (2, 2, 0.9)]
    curves = pd.DataFrame(rows, columns=["number", "epoch", "accuracy"])
    found = curves_finding(curves, [0, 1], 2)
    assert found.startswith("1 of 2 networks of the front is most accurate after the last of 2")
    assert curves_finding(curves, [1], 2).startswith(
        "The network of the front is most accurate before"
    )
    assert curves_finding(curves, [0], 2).startswith(
        "The network of the front is most accurate after"
    )
    assert curves_finding(curves, [0], 1) == "", "one epoch has no curve"
    assert curves_finding(curves, [7], 2) == "", "inherited networks have none"


def test_parameters_are_named_only_if_they_are_measurable() -> None:
    found = [
        Importance("accuracy", "depth", 0.3),
        Importance("accuracy", "tap_stem", 0.7),
        Importance("ops", "fusion_ratio", 1.0),
    ]
    assert parameters_finding(found) == (
        "Accuracy depends most on tap stem (70% of what is explained); OPs depend most on fusion "
        "width m (100% of what is explained)."
    )
    assert parameters_finding([]) == ""
    weak, strong = Explained("accuracy", 0.54, -0.3, 0.8), Explained("ops", 0.9, 0.8, 0.95)
    assert "54% (-30% to 80%) of the variance of accuracy" in not_measurable([weak, strong])
    assert not_measurable([strong]) == ""
    worse = Explained("accuracy", -0.74, -1.4, -0.4)
    assert "explains nothing of the variance of accuracy" in not_measurable([worse])


def test_failures_are_counted() -> None:
    table = pd.DataFrame({"state": ["failed", "turned down", "turned down", "trained"]})
    assert failures_finding(table) == "1 trial failed; 2 trials turned down before training."


def test_the_front_and_the_budgets_name_their_ends(finished_run: Path) -> None:
    data = report_data(Run.open(finished_run))
    found = front_finding(data)
    for place in (0, -1):
        assert percent(data.front["accuracy"].iloc[place]) in found
    rows = [
        {"accuracy": "77.7% (72.5 to 82.1%)", "budget": "20 k OPs", "number": "3"},
        {"accuracy": "97.2%", "budget": "70 k OPs", "number": "4"},
    ]
    assert budgets_finding(rows).endswith("from 77.7% within 20 k OPs to 97.2% within 70 k OPs.")
    assert budgets_finding(rows[:1]) == "Trial 3 is the best network for every budget."
    assert budgets_finding([]) == ""
