from __future__ import annotations

import pytest

import ir2search as ir
from ir2search.cli.progress import RunProgress, analysis_progress
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


def test_an_analysis_without_a_terminal_is_a_line_each_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("ir2search.cli.progress.time.monotonic", lambda: now[0])
    with analysis_progress() as on_step:
        for done in range(5):
            now[0] = 25.0 * done
            on_step("probes of stem", done, 5)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "probes of stem: 3/5\n")
