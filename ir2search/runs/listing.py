"""All runs in a folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ir2search.errors import IR2SearchError
from ir2search.runs.layout import JOURNAL_FILE, SQLITE_FILE, STUDY_FILE, TRIALS
from ir2search.runs.names import runs_folder
from ir2search.runs.run import Run
from ir2search.runs.tables import front_of, recorded_table


@dataclass(frozen=True)
class RunSummary:
    """A run in a folder of runs.

    Attributes:
        name: of the run's folder.
        folder: of the run.
        changed: when a trial was last recorded or begun, in UTC.
        study: name of the study; None if the run cannot be read.
        asked: number of candidates that the study asks to train.
        trained: number of trained trials.
        front: number of trials on the front.
        best: the best validation accuracy, from 0 to 1; None if nothing is trained.
        problem: why the run cannot be read.
    """

    name: str
    folder: Path
    changed: datetime
    study: str | None = None
    asked: int = 0
    trained: int = 0
    front: int = 0
    best: float | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """All attributes by name, as values for JSON."""
        changed = self.changed.isoformat(timespec="seconds")
        return asdict(self) | {"folder": str(self.folder), "changed": changed}


def list_runs(runs: str | Path | None = None) -> list[RunSummary]:
    """All runs directly in a folder, the last changed one first.

    A run that cannot be read is listed with its problem.

    Args:
        runs: the folder of all runs; by default `runs_folder`.
    """
    folder = runs_folder() if runs is None else Path(runs)
    found = [_summary(file.parent) for file in folder.glob(f"*/{STUDY_FILE}")]
    return sorted(found, key=lambda each: (-each.changed.timestamp(), each.name))


def last_change(folder: Path) -> datetime:
    """When the study of a run, its trials or their folder last changed, in UTC."""
    places = [folder / name for name in (STUDY_FILE, JOURNAL_FILE, SQLITE_FILE, TRIALS)]
    return datetime.fromtimestamp(max(p.stat().st_mtime for p in places if p.exists()), UTC)


def _summary(folder: Path) -> RunSummary:
    changed = last_change(folder)
    try:
        run = Run.open(folder)
        table = recorded_table(run.records(), run.study)
        front = front_of(table, run.study)
    except IR2SearchError as error:
        return RunSummary(folder.name, folder, changed, problem=str(error))
    return RunSummary(
        name=folder.name,
        folder=folder,
        changed=changed,
        study=run.study.name,
        asked=run.study.trials,
        trained=int((table["state"] == "trained").sum()),
        front=len(front),
        best=None if front.empty else float(front["accuracy"].iloc[0]),
    )
