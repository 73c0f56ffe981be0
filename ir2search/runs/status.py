"""How far a run is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from ir2search import text
from ir2search.runs.differences import advice
from ir2search.runs.records import COUNTED, State
from ir2search.runs.run import Run
from ir2search.runs.running import RunningTraining, running_trainings
from ir2search.runs.storages import ENDED
from ir2search.runs.tables import front_of, json_rows, recorded_table, trials_table
from ir2search.training.results import FEW_PIXELS


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        name: of the study.
        folder: of the run.
        asked: number of candidates that the study asks to train.
        counts: number of trials in each `State`.
        front: the front so far, see `Run.front`.
        advice: in sentences: what the noise of its accuracies means for the choice of a network,
            and whether the restriction only takes time.
        ended: why the run has ended; None while it goes on.
        failures: the reason why each failed trial failed, by its number.
        running: the trainings that are going on.
    """

    name: str
    folder: Path
    asked: int
    counts: dict[str, int]
    front: pd.DataFrame
    advice: tuple[str, ...]
    ended: str | None
    failures: dict[int, str]
    running: tuple[RunningTraining, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, and its front is tested."""
        return self.ended is not None

    @property
    def all_failed(self) -> bool:
        """Whether all trainings have failed."""
        begun = sum(self.counts[state] for state in (*COUNTED, "unfinished"))
        return 0 < begun == self.counts["failed"]

    def as_dict(self) -> dict[str, Any]:
        """The status in values that JSON can hold."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "asked": self.asked,
            "counts": self.counts,
            "ended": self.ended,
            "running": [asdict(each) for each in self.running],
            "advice": list(self.advice),
            "front": json_rows(self.front),
        }


def status(run: Run | str | Path) -> RunStatus:
    """How far a run is, given by itself or its folder.

    Raises:
        RunError: there is no run.
    """
    run = Run.of(run)
    records = run.records()
    states = [record.state for record in records]
    counts = {name: states.count(name) for name in get_args(State)}
    members = set(front_of(recorded_table(records, run.study), run.study)["number"])
    kept = [record for record in records if record.number in members]
    front = run.described(front_of(trials_table(kept, run.study, run.folder_of), run.study))
    recorded = run.recorded(ENDED)  # empty while it goes on; None if an earlier version began it
    ended = _ended_before(run, counts, front) if recorded is None else recorded or None
    failures = {
        record.number: record.attributes.outcome or ""
        for record in records
        if record.state == "failed"
    }
    said = (*advice(front, run.study), *_restriction_advice(run, front))
    running = () if ended else tuple(running_trainings(run, records))
    return RunStatus(
        run.study.name, run.folder, run.study.trials, counts, front, said, ended, failures, running
    )


def watch(run: Run | str | Path, pause: float = 1.0) -> Iterator[RunStatus]:
    """Yield the status of a run now and after each change, until the run has ended.

    Args:
        run: a run, or its folder.
        pause: seconds between two reads; after a slow read the pause is longer.

    Raises:
        RunError: there is no run.
    """
    run = Run.of(run)
    shown: dict[str, Any] | None = None
    while True:
        began = time.monotonic()
        now = status(run)
        if now.as_dict() != shown:
            shown = now.as_dict()
            yield now
        if now.has_ended:
            return
        time.sleep(max(pause, 4 * (time.monotonic() - began)))


def _restriction_advice(run: Run, front: pd.DataFrame) -> Iterator[str]:
    """A sentence if the study's only threshold blanks few pixels of networks on the front."""
    if "threshold" in run.study.space.searched:
        return
    curves = [run.curve(number) for number in front["number"]]
    count = sum(curve[-1].restricts_few_pixels for curve in curves if curve)
    if count:
        yield (
            f"Restriction blanks less than {100 * FEW_PIXELS:g}% of the pixels for {count} of "
            f"{text.counted(len(front), 'network')} on the front, but each batch with such a pixel "
            "takes a second pass; with threshold = 0 in [space], training may be twice as fast."
        )


def _ended_before(run: Run, counts: dict[str, int], front: pd.DataFrame) -> str | None:
    """Why a run of an earlier version, which did not record it, has ended; None if it has not."""
    begun = sum(counts[state] for state in COUNTED)
    going_on = counts["waiting"] + counts["unfinished"]
    tested = bool(front["test_accuracy"].notna().all())
    has_ended = begun >= run.study.trials and not going_on and tested
    return "all candidates are trained" if has_ended else None
