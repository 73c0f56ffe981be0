from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.search import RunProgress
from ir2search.search.time_left import TimeLeft
from ir2search.study.loading import parse_study


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


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that commands see, which a test sets."""
    seconds = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    return seconds


def test_a_run_without_a_terminal_says_each_minute_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], now: list[float]
) -> None:
    values = {"name": "birds", "trials": 4, "recipe": {"epochs": 10}, "space": {"depth": [8, 14]}}
    candidate = ir.Candidate()
    with RunProgress() as progress:
        progress.on_start(parse_study(values, "birds.toml"), [], [])
        progress.on_trial(0, candidate, ir.cost(candidate))
        for step in range(8):
            now[0] = 20.0 * step
            progress.on_step(0, step / 4)  # an epoch takes 80 seconds: 40 epochs take 53 minutes
        progress.on_trial_end(0, "trained", "", {"accuracy": 0.9, "ops": 1e6})
        now[0] = 200.0
        progress.on_trial(1, candidate, ir.cost(candidate))
        progress.on_step(1, 0.5)  # 200 seconds for 2.25 epochs, 29.5 epochs are left
    assert capsys.readouterr().err.splitlines() == [
        "trial 0: 0.8 epochs; 0 of 4 trials done, about 52 minutes left",
        "trial 0: 1.5 epochs; 0 of 4 trials done, about 51 minutes left",
        "trial 0: 90.0%, 1 M OPs",
        "trial 1: 0.5 epochs; 1 of 4 trials done, about 44 minutes left",
    ]


def test_the_time_of_further_seeds_is_counted(now: list[float]) -> None:
    values = {"name": "birds", "trials": 2, "recipe": {"epochs": 4}, "space": {"depth": [8, 14]}}
    left = TimeLeft(parse_study({**values, "confirm": {"seeds": 2}}, "birds.toml"))
    assert left.seconds(0, 0) is None
    now[0] = 60.0
    left.step(0, 1.0)
    assert left.seconds(0, 1) == 60 * (7 + 8)
    left.end(0)
    assert left.seconds(2, 1) == 60 * 8
    now[0] = 90.0
    left.step(0, 0.5)  # of the first further seed
    assert left.seconds(2, 1) == 60 * 7.5
