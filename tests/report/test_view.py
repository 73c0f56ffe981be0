from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import ir2search as ir
from ir2search.report.comparison import compare
from ir2search.report.data import ReportData, report_data
from ir2search.report.view import comparison_view, page_view
from ir2search.runs import Run


@pytest.fixture(scope="module")
def data(finished_run: Path) -> ReportData:
    return report_data(Run.open(finished_run))


def test_the_view_of_a_page_is_json_with_one_value_for_each_trial(data: ReportData) -> None:
    view = json.loads(json.dumps(page_view(data), allow_nan=False))
    assert {len(column) for column in view["trials"].values()} == {len(data.trials)}
    assert (view["x"], view["y"]) == ("ops", "accuracy")
    assert set(view["curves"]) == set(view["layers"]) == {str(n) for n in data.detailed}
    searched = {name for name in view["trials"] if name.startswith("space.")}
    assert "space.tap stem" in searched
    assert "space.threshold" in searched


def test_the_references_are_costs_of_known_networks(data: ReportData) -> None:
    (twin,) = (each for each in page_view(data)["references"] if "twin" in each["name"])
    assert data.best is not None
    assert twin["flops"] == ir.cost(data.best.twin()).flops


def test_the_view_of_a_comparison_has_both_fronts(
    finished_run: Path, data: ReportData, tmp_path: Path
) -> None:
    copied = shutil.copytree(finished_run, tmp_path / "copied")
    view = json.loads(json.dumps(comparison_view(compare(finished_run, copied))))
    numbers = [front["trials"]["number"] for front in view["fronts"]]
    assert numbers == [data.front["number"].tolist()] * 2
    assert [front["group"] for front in view["fronts"]] == [0, 1]
