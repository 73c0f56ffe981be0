"""`Run`: a run's folder, opened once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ir2search import text
from ir2search.errors import RunError
from ir2search.files import protect
from ir2search.notebook import html_table
from ir2search.runs.differences import described_front
from ir2search.runs.layout import BEST, CACHE, CANDIDATE_FILE, CURVE, seed_folder, trial_folder
from ir2search.runs.members import with_members
from ir2search.runs.records import TrialRecord, trial_records
from ir2search.runs.saved import saved_study
from ir2search.runs.storages import (
    PARALLEL,
    TRAIN_IMAGES,
    VALIDATION_IMAGES,
    RunStudy,
    open_storage,
    storage_errors,
)
from ir2search.runs.tables import front_of, json_rows, knee, trials_table, without_constants
from ir2search.space import Candidate, read_candidate
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study

if TYPE_CHECKING:
    from ir2search.data import ImageData
    from ir2search.models.network import TappedNetwork
    from ir2search.training import EpochResult


class Run:
    """A run: the study, its trials and their networks.

    What does not change is read once. Each call reads the trials again, because another process
    may be training them.

    Attributes:
        folder: of the run.
        study: the study of the run.

    >>> run = Run.open("runs/digits")  # doctest: +SKIP
    >>> run.front()[["number", "accuracy", "ops"]]  # doctest: +SKIP
    """

    def __init__(self, folder: Path, study: Study, storage: str | None = None) -> None:
        self.folder = folder
        self.study = study
        self._given_storage = storage

    @classmethod
    def open(cls, folder: str | Path, storage: str | None = None) -> Run:
        """Open the run in a folder.

        Args:
            folder: the run's folder.
            storage: URL of the server that has its trials; only needed if the URL has a password,
                or if this user has not given it for this folder before.

        Raises:
            RunError: there is no run in the folder, a module in it has changed, or the study needs
                a module that the user does not trust.
        """
        folder = Path(folder)
        protect(folder)
        return cls(folder, saved_study(folder), storage)

    @classmethod
    def of(cls, run: Run | str | Path) -> Run:
        """An open run as it is, or the run in a folder."""
        return run if isinstance(run, Run) else cls.open(run)

    @property
    def cache(self) -> Path:
        """The cache beside the runs; everything in it can be computed again."""
        return self.folder.parent / CACHE

    @cached_property
    def storage(self) -> RunStudy:
        """The Optuna study, to read.

        Raises:
            RunError: the run has not started any trial, or its storage cannot be read.
        """
        return open_storage(self.folder, self.study, self._given_storage)

    def records(self) -> list[TrialRecord]:
        """All trials as they are recorded, ordered by number.

        Raises:
            RunError: a record is damaged, or the storage cannot be read.
        """
        storage = self.storage
        with storage_errors(self.folder, self._given_storage):
            trials = storage.get_trials(deepcopy=False)
        try:
            records = trial_records(trials, self.study)
            return with_members(records, self.study, self.folder_of)
        except RunError as error:
            raise RunError(f"{self.folder}: {error}") from None

    def trials(self) -> pd.DataFrame:
        """All trials, one in each row, ordered by number.

        Returns:
            The columns ``number``, ``state``, ``outcome`` (why, in words), ``duplicate_of``,
            ``candidate_id``, ``accuracy`` (best validation accuracy so far, from 0 to 1),
            ``test_accuracy`` and ``test_images``, the number of test images (front members only),
            the costs, ``seconds``, ``best_epoch``, ``epochs`` trained so far, ``seed_accuracies``
            and ``seed_test_accuracies`` (lists, the trial's own first, then those of further
            seeds), and the candidate's fields. With a supernet also ``how`` the network got its
            weights (``"inherited"``, ``"fine-tuned"`` or ``"trained"``), and
            ``inherited_accuracy``, which the search saw.
        """
        return trials_table(self.records(), self.study, self.folder_of)

    def front(self) -> pd.DataFrame:
        """The trained trials that no other one dominates, best accuracy first.

        Returns:
            The columns of `trials`, and those that `described_front` adds: intervals of accuracies,
            and groups of members that cannot be told apart. Indexed from 0.
        """
        return self.described(front_of(self.trials(), self.study))

    def described(self, front: pd.DataFrame) -> pd.DataFrame:
        """A front of this run as `described_front` describes it."""
        return described_front(front, self.study, self.validation_images, self.folder_of)

    @property
    def train_images(self) -> int | None:
        """Number of training images; None if the run's version did not record it.

        Raises:
            RunError: the run has not started any trial, or its storage cannot be read.
        """
        return self._recorded_number(TRAIN_IMAGES)

    @property
    def validation_images(self) -> int | None:
        """Number of validation images; None if the run's version did not record it.

        Raises:
            RunError: the run has not started any trial, or its storage cannot be read.
        """
        return self._recorded_number(VALIDATION_IMAGES)

    @property
    def parallel(self) -> int:
        """The most trainings at the same time that the run has had, see `Study.parallel`.

        Raises:
            RunError: the run has not started any trial, or its storage cannot be read.
        """
        return self._recorded_number(PARALLEL) or self.study.parallel

    def chosen(self, which: str | None) -> pd.DataFrame:
        """The rows of `trials` that are asked for.

        Args:
            which: ``"best"``, ``"knee"``, the number of any trial, or None for all trials.

        Raises:
            RunError: there is no such trial.
        """
        table = self.trials()
        if which is None:
            return table
        row = table[table["number"].astype(str) == which]
        return table[table["number"] == self.pick(which)] if row.empty else row

    def pick(self, which: str | int) -> int:
        """The number of a trained trial.

        Args:
            which: ``"best"`` (accuracy), ``"knee"``, or a number.

        Raises:
            RunError: nothing is trained yet, or that trial is not trained.
        """
        which, table = str(which), self.trials()
        trained = table[table["state"] == "trained"]
        if trained.empty:
            raise RunError(
                f"{self.folder}: no trial has finished training yet; run the study first"
            )
        if which in ("best", "knee"):
            front = front_of(table, self.study)
            return int(front["number"].iloc[0 if which == "best" else knee(front, self.study)])
        is_number = which.isascii() and which.isdecimal() and len(which) < 10
        if is_number and int(which) in set(trained["number"]):
            return int(which)
        known = ", ".join(str(number) for number in trained["number"])
        raise RunError(
            f"{self.folder}: no trained trial {which!r}; give best, knee, or one of {known}"
        )

    def folder_of(self, number: int) -> Path:
        """The folder of a trial."""
        return trial_folder(self.folder, number)

    def candidate(self, number: int) -> Candidate:
        """The network of a trial as a candidate.

        Raises:
            RunError: there is no such trial, or its training was never started.
        """
        return read_candidate(self.folder_of(number) / CANDIDATE_FILE)

    def network(self, number: int) -> TappedNetwork:
        """The network of a trial after its best epoch, on the CPU, in evaluation mode.

        Raises:
            RunError: there is no such trial, or it was not trained.
        """
        from ir2search.training import load_network

        return load_network(self.candidate(number), self.folder_of(number) / BEST)

    def curve(self, number: int, further_seed: int = 0) -> list[EpochResult]:
        """The learning curve of a trial; empty if its training was never started.

        Args:
            number: of the trial.
            further_seed: 0 for the trial's own training, k for the one from the k-th further seed.
        """
        from ir2search.runs.curves import read_curve

        return read_curve(seed_folder(self.folder_of(number), further_seed) / CURVE)

    def curves(self, numbers: Iterable[int]) -> pd.DataFrame:
        """The learning curves of trials.

        Returns:
            A row for each epoch that has one: ``number`` of the trial, ``epoch``, and ``accuracy``
            on validation images, from 0 to 1.
        """
        rows = [
            (number, result.epoch, result.validation_accuracy)
            for number in numbers
            for result in self.curve(number)
            if result.validation_accuracy is not None
        ]
        return pd.DataFrame(rows, columns=["number", "epoch", "accuracy"])

    def data(self, path: str | Path | None = None) -> ImageData:
        """The images of the run, split as the run split them.

        Args:
            path: the folder of images, if it has moved.

        Raises:
            RunError: the run was made on other images.
            DataError: there are no images, or they cannot be read.
        """
        from ir2search.data import load_data

        place = None if path is None else Path(path)
        images = load_data(self.study.data, place, self.cache, self.study.seed)
        self.storage.check_images(images.fingerprint)
        return images

    def recorded(self, name: str) -> Any:
        """What the search recorded under a name in the run's storage; None if nothing.

        Raises:
            RunError: the run has not started any trial, or its storage cannot be read.
        """
        storage = self.storage
        with storage_errors(self.folder, self._given_storage):
            return storage.user_attrs.get(name)

    def _recorded_number(self, name: str) -> int | None:
        recorded = self.recorded(name)
        if recorded is not None and not (isinstance(recorded, int) and recorded > 0):
            raise RunError(f"{self.folder}: {name} is damaged in the run's storage")
        return recorded

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        title = f"Run {self.study.name}, {self.folder}"
        try:
            trials = self.trials()
        except RunError as error:
            return html_table(title, ("no trials",), [(error,)])
        trained = int((trials["state"] == "trained").sum())
        costs = [OBJECTIVES[name].column for name in self.study.objectives if name != "accuracy"]
        columns = ("number", "accuracy", "test_accuracy", *costs)
        rows = json_rows(front_of(trials, self.study)[list(columns)])
        shown = [
            [f"trial {row['number']}", *(text.percent(row[name]) for name in columns[1:3])]
            + [text.count(row[name]) for name in costs]
            for row in rows
        ]
        heads = ("front", *columns[1:])
        return html_table(f"{title}: {trained} of {self.study.trials} trained", heads, shown)


def trials(run: Run | str | Path) -> pd.DataFrame:
    """All trials of a run, given by itself or its folder; `Run.trials` describes the columns.

    Raises:
        RunError: there is no run.
    """
    return Run.of(run).trials()


def front(run: Run | str | Path, *, constant: bool = False) -> pd.DataFrame:
    """The front of a run, given by itself or its folder, best accuracy first.

    Args:
        run: the run.
        constant: keep the settings of networks and of their training that are the same in all rows.
            A front of one network keeps all columns.

    Returns:
        The columns of `Run.front`.

    Raises:
        RunError: there is no run.
    """
    table = Run.of(run).front()
    return table if constant else without_constants(table)


def run_data(run: Run | str | Path, data: str | Path | None = None) -> ImageData:
    """The images of a run, split as the run split them; ``data`` is their folder if it has moved.

    Raises:
        RunError: there is no run, or it was made on other images.
        DataError: there are no images, or they cannot be read.
    """
    return Run.of(run).data(data)
