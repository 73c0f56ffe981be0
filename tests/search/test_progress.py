from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.search import RunProgress
from ir2search.study.schema import parse_study


def test_each_trial_that_ends_is_a_line_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = parse_study({"name": "birds", "trials": 4, "space": {"depth": [8, 14]}}, "birds.toml")
    candidate = ir.Candidate()
    with RunProgress() as progress:
        progress.on_start(study, [{"accuracy": 0.9, "ops": 2e6}], [])
        progress.on_trial(1, candidate, ir.cost(candidate))
        progress.on_trial_end(1, "trained", "", {"accuracy": 0.979, "ops": 163e3})
        progress.on_trial_end(2, "turned down", "over the budget", None)
        progress.on_trial_end(3, "duplicate", "of trial 1", None)
        progress.on_trial(4, candidate, ir.cost(candidate))
        progress.on_wait(4, 5, 0.8)
        progress.on_search_end("12 epochs are spent")
        progress.on_test(1, 0.97)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "continuing after 1 of 4 trials",
        "trial 1: 97.9%, 163 k OPs",
        "trial 2: turned down: over the budget",
        "trial 4: 80.0% after 5 epochs, waiting",
        "the search ends: 12 epochs are spent",
        "trial 1: 97.0% on the test images",
    ]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_run_shows_bars_in_a_terminal_unless_told_not_to(
    tmp_path: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = parse_study(quick | {"trials": 1}, "quick.toml")
    out, error = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", error)
    ir.run(study, tmp_path / "quiet", device="cpu", progress=False)
    assert (out.getvalue(), error.getvalue()) == ("", "")
    ir.run(study, tmp_path / "shown", device="cpu")
    assert out.getvalue() == ""
    assert "trial 0: " in error.getvalue()
    assert "quick: trials" in error.getvalue()


def test_a_run_prints_nothing_without_a_terminal(
    tmp_path: Path, quick: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    ir.run(parse_study(quick | {"trials": 1}, "quick.toml"), tmp_path / "quick", device="cpu")
    assert capfd.readouterr() == ("", "")
