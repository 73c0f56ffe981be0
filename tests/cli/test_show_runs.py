from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import ir2search as ir
from ir2search.cli.show_runs import show_status
from ir2search.cli.show_trials import show_trials


def test_the_first_line_of_a_status_counts_the_trials(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"trained": 3, "failed": 1, "duplicate": 0, "waiting": 2}
    status = replace(ir.status(finished_run), name="[birds]", asked=8, counts=counts)
    show_status(status, as_json=False)
    head, *table = capsys.readouterr().out.splitlines()
    assert head.startswith("[birds] in ")
    assert head.endswith(": 3 of 8 candidates trained, 1 failed, 2 waiting")
    shown = "\n".join(table)
    for row in status.front.itertuples():
        assert f"{100 * row.accuracy_low:.1f} to {100 * row.accuracy_high:.1f}%" in shown
    assert "287 validation images and 360 test images" in shown
    assert table[-len(status.advice) :] == list(status.advice)


@pytest.mark.parametrize(
    ("column", "head", "value", "cell"),
    [("ram_bytes", "RAM", 14_300, "14.3 kB"), ("latency_ms", "latency", 0.125, "0.125 ms")],
)
def test_a_cost_that_a_study_asked_for_is_shown(
    finished_run: Path,
    capsys: pytest.CaptureFixture[str],
    column: str,
    head: str,
    value: float,
    cell: str,
) -> None:
    status = ir.status(finished_run)
    status = replace(status, front=status.front.assign(**{column: value}))
    show_status(status, as_json=False)
    show_trials(ir.trials(finished_run).assign(**{column: value}), one=False, as_json=False)
    shown = capsys.readouterr().out
    assert shown.count(head) == 2
    assert shown.count(cell) == len(status.front) + len(ir.trials(finished_run))
