from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from replay import ReplayExecutor

import ir2search as ir
from ir2search.errors import StudyError
from ir2search.search.limits import limit_reached, stale
from ir2search.search.pruners.progress import Progress
from ir2search.study.loading import parse_study
from ir2search.study.sections import Stop

FINISHED = {0: (0.5, 1.0), 2: (0.4, 2.0), 3: (0.6, 3.0)}


class Reasons(ir.RunObserver):
    def __init__(self) -> None:
        self.given: list[str] = []

    def on_search_end(self, reason: str) -> None:
        self.given.append(reason)


def progress_of(begun: int, finished: dict[int, tuple[float, float]]) -> Progress:
    """The results of the first ``begun`` trials at the first rung, and of finished trials."""
    progress = Progress((1, 3))
    for number in range(begun):
        progress.record(number, 0, (1.0, 1.0))
    for number, values in finished.items():
        progress.record(number, 1, values)
    return progress


def test_the_first_limit_that_is_reached_is_named() -> None:
    limits = Stop(hours=0.5, epochs=10, stale_trials=3)
    assert limit_reached(limits, 1799, 9, progress_of(5, FINISHED)) is None
    assert limit_reached(limits, 1800, 9, progress_of(0, {})) == "0.5 hours have passed"
    assert limit_reached(limits, 0, 12, progress_of(0, {})) == "12 epochs have been trained"
    reason = "none of the last 3 candidates joined the front"
    assert limit_reached(limits, 0, 0, progress_of(6, FINISHED)) == reason
    assert limit_reached(Stop(), 1e9, 10**9, progress_of(99, FINISHED)) is None


def test_trials_are_counted_since_the_latest_member_of_the_front() -> None:
    assert stale(progress_of(5, FINISHED)) == 2
    assert stale(progress_of(2, {})) == 0
    assert stale(progress_of(5, FINISHED | {5: (0.0, 0.0)})) == 0


@pytest.mark.parametrize(
    ("limit", "trained", "reason"),
    [
        ({"epochs": 5}, 3, "6 epochs have been trained"),
        ({"hours": 1e-9}, 0, "1e-09 hours have passed"),
    ],
)
def test_a_study_ends_at_its_limit_and_goes_on_without_it(
    quick: dict[str, Any], tmp_path: Path, limit: dict[str, Any], trained: int, reason: str
) -> None:
    reasons = Reasons()
    study = parse_study({**quick, "stop": limit}, "a.toml")
    status = ir.run(study, tmp_path / "run", executor=ReplayExecutor, observer=reasons)
    assert status.counts["trained"] == trained
    assert reasons.given == [reason]
    assert len(list(tmp_path.glob("run/trials/*/test.json"))) == len(status.front)
    status = ir.run(parse_study(quick, "a.toml"), tmp_path / "run", executor=ReplayExecutor)
    assert status.counts["trained"] == 5


def test_epochs_of_earlier_sessions_count(quick: dict[str, Any], tmp_path: Path) -> None:
    values = {**quick, "stop": {"epochs": 4}}
    for _ in range(2):
        study = parse_study(values, "a.toml")
        status = ir.run(study, tmp_path / "run", executor=ReplayExecutor)
        assert status.counts["trained"] == 2


def test_a_wrong_limit_is_named(quick: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match=r"\[stop\] hours: must be above 0, but got 0"):
        parse_study({**quick, "stop": {"hours": 0}}, "a.toml")
    with pytest.raises(StudyError, match=r"\[stop\] epoch: .* did you mean 'epochs'\?"):
        parse_study({**quick, "stop": {"epoch": 1}}, "a.toml")
