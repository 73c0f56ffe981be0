"""The trainings of a run that are going on, as their files show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ir2search.files import is_locked
from ir2search.runs.curves import read_curve
from ir2search.runs.layout import CURVE, SUPERNET, seed_folder
from ir2search.runs.members import member_epochs, member_folder
from ir2search.runs.records import TrialRecord
from ir2search.runs.run import Run
from ir2search.training.layout import PRETRAINING


@dataclass(frozen=True)
class RunningTraining:
    """A training that a process is doing now.

    Attributes:
        number: of the trial; None for the weights that all candidates share.
        seed: the further seed of the training, from 1; 0 for the training of the trial itself.
        epoch: number of epochs trained.
        epochs: at which the training ends or, with rungs, waits.
        accuracy: best validation accuracy so far, from 0 to 1; None before the first one.
        seconds_left: until then, from the mean time of its epochs; None before the first one.
    """

    number: int | None
    seed: int
    epoch: int
    epochs: int
    accuracy: float | None
    seconds_left: float | None


def running_trainings(run: Run, records: Sequence[TrialRecord]) -> Iterator[RunningTraining]:
    """The trainings of a run that are going on, by number.

    Args:
        run: the run.
        records: of all its trials.
    """
    study, last = run.study, run.study.recipe.total_epochs
    if study.supernet is not None:
        yield from _running(None, 0, run.folder / SUPERNET, study.supernet.epochs)
        how, epochs = study.supernet.members, member_epochs(study)
        for record in records:
            folder = member_folder(run.folder_of(record.number), how, epochs)
            yield from _running(record.number, 0, folder, epochs)
    for record in records:
        if record.state in ("unfinished", "waiting"):
            until = record.attributes.target_epochs or last
            yield from _running(record.number, 0, run.folder_of(record.number), until)
    seeds = 0 if study.confirm is None else study.confirm.seeds
    for record in records:
        for seed in range(1, seeds + 1):
            folder = seed_folder(run.folder_of(record.number), seed)
            yield from _running(record.number, seed, folder, last)


def _running(number: int | None, seed: int, folder: Path, epochs: int) -> Iterator[RunningTraining]:
    if not is_locked(folder):
        return
    curves = (read_curve(each / CURVE) for each in (folder / PRETRAINING, folder))
    rows = [row for curve in curves for row in curve]
    accuracies = [r.validation_accuracy for r in rows if r.validation_accuracy is not None]
    mean = sum(row.seconds for row in rows) / len(rows) if rows else None
    yield RunningTraining(
        number=number,
        seed=seed,
        epoch=len(rows),
        epochs=epochs,
        accuracy=max(accuracies, default=None),
        seconds_left=None if mean is None else mean * max(0, epochs - len(rows)),
    )
