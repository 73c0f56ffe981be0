from __future__ import annotations

from pathlib import Path

from ir2search.report.data import report_data
from ir2search.runs import Run


def test_the_data_of_a_report_agrees_with_the_run(finished_run: Path) -> None:
    data = report_data(Run.open(finished_run))
    assert data.front["is_knee"].sum() == 1
    assert set(data.trials.query("on_front")["number"]) == set(data.front["number"])
    trained = data.trials.query("state == 'trained'")
    best = data.curves.groupby("number")["accuracy"].max()
    assert dict(best) == dict(zip(trained["number"], trained["accuracy"], strict=True))
