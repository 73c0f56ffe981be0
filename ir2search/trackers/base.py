"""What all trackers share: they follow a run by its files, and send what they have not sent yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from ir2search.costs import Cost, cost
from ir2search.errors import MissingExtraError, RunError
from ir2search.files import make_folder, read_json, write_json
from ir2search.report import write_report
from ir2search.runs import Run, json_rows, status
from ir2search.runs.curves import read_curve
from ir2search.runs.layout import CANDIDATE_FILE, CURVE, TRACKERS, trial_folder
from ir2search.runs.records import State
from ir2search.runs.tables import without_constants
from ir2search.search import RunObserver
from ir2search.space import Candidate
from ir2search.training import EpochResult, Recipe
from ir2search.validation import checked
from ir2search.zoo import TrainedNetwork, TrainingObserver

Parameter = str | int | float | bool
MAIN = ""  # the key of the search itself, or of a single training
COSTS = ("ops", "flops", "bops", "memory_bytes", "parameters")
RESULTS = ("accuracy", "test_accuracy", "seconds", "best_epoch")  # known when a trial has ended
ENDED: tuple[State, ...] = ("trained", "stopped", "failed")
DECIMALS = 9  # of results; tables keep 15 digits
USER_OF_URL = re.compile(r"(?<=://)[^/\s@]*@")


@dataclass
class Sent:
    """What a tracker was sent in earlier sessions, by the key of the network.

    Attributes:
        ids: the tracker's own names of its records.
        epochs: number of epochs.
        results: the last results.
    """

    ids: dict[str, str] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    results: dict[str, dict[str, float]] = field(default_factory=dict)


class Tracker(RunObserver, TrainingObserver):
    """Sends curves, parameters, costs, the front and the report to an experiment tracker.

    An observer of `ir2search.run` and of `ir2search.train_network`. What was sent is kept in the
    run's folder, so a run that continues sends nothing twice; epochs that a session could not send
    are sent by the next one. If the tracker fails, it is left alone until the next session.

    A subclass implements `open`, `begin`, `log`, `end`, `finish` and `close`.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self._file: Path | None = None  # None while no folder is open
        self._folder = Path()
        self._followed: Run | None = None
        self.sent = Sent()

    # What a subclass implements

    def open(self, folder: Path, title: str) -> None:
        """Connect to the tracker; ``folder`` may hold the tracker's own files."""
        raise NotImplementedError

    def begin(
        self, key: str, parameters: Mapping[str, Parameter], costs: Mapping[str, float]
    ) -> None:
        """A network's training begins; called once for each network."""
        raise NotImplementedError

    def log(self, key: str, epoch: int, values: Mapping[str, float]) -> None:
        """An epoch of a network is trained; epochs count from 1 and come in order."""
        raise NotImplementedError

    def end(self, key: str, state: str, values: Mapping[str, float]) -> None:
        """A network's training has ended; called again if more results are known later."""
        raise NotImplementedError

    def finish(self, front: pd.DataFrame, report: Path | None) -> None:
        """The search has ended.

        Args:
            front: the front as `ir2search.front` returns it.
            report: the folder of the report; None if its packages are not installed.
        """
        raise NotImplementedError

    def close(self) -> None:
        """The session ends."""
        raise NotImplementedError

    # What a run tells

    def on_open(self, run: Run) -> None:
        self._open(run.folder)
        self._followed = run
        self._try(lambda: self._send_run(run))

    def on_trial(self, number: int, candidate: Candidate, price: Cost) -> None:
        self._try(lambda: self._begin(_key(number), parameters_of(candidate), price))

    def on_epoch(self, number: int, result: EpochResult) -> None:
        folder = trial_folder(self._folder, number)
        self._try(lambda: self._send_curve(_key(number), folder))

    def on_trial_end(
        self, number: int, state: State, outcome: str, values: dict[str, float] | None
    ) -> None:
        self._try(lambda: self._end(_key(number), state, values or {}))

    def on_end(self) -> None:
        if self._followed is not None:
            run = self._followed
            self._try(lambda: self._finish_run(run))
        self._close()

    # What the training of one network tells

    def on_training(self, folder: Path, candidate: Candidate, recipe: Recipe) -> None:
        self._open(folder)
        settings = parameters_of(candidate) | flat(asdict(recipe), "recipe.")
        self._try(lambda: self._begin(MAIN, settings, cost(candidate)))

    def on_training_epoch(self, result: EpochResult) -> None:
        self._try(lambda: self._send_curve(MAIN, self._folder))

    def on_trained(self, trained: TrainedNetwork) -> None:
        accuracy = trained.best.validation_accuracy
        values = {"test_accuracy": trained.test_accuracy, "best_epoch": trained.best.epoch}
        values |= {} if accuracy is None else {"accuracy": accuracy}
        self._try(lambda: self._send_curve(MAIN, self._folder))
        self._try(lambda: self._end(MAIN, "trained", values))

    def on_training_end(self) -> None:
        self._close()

    # A finished run

    def send(self, run: Run | str | Path) -> None:
        """Send a run that is not running now.

        Raises:
            RunError: there is no run, or the tracker fails.
        """
        self.on_open(Run.of(run))
        self.on_end()

    def _open(self, folder: Path) -> None:
        self._folder = folder.resolve()
        file = self._folder / TRACKERS / f"{self.name}.json"
        make_folder(file.parent)
        self.sent = checked(read_json(file), Sent, file) if file.exists() else Sent()
        self._file = file
        self._try(lambda: self.open(file.parent, self._folder.name))

    def _close(self) -> None:
        self._try(self.close)
        self._file = None

    def _try(self, work: Callable[[], None]) -> None:
        """Do something with the tracker, unless it has failed before.

        Raises:
            RunError: it fails; the message holds no password of a URL.
        """
        if self._file is None:
            return
        try:
            try:
                work()
            finally:  # what was sent before a failure is not sent again
                write_json(self._file, asdict(self.sent))
        except Exception as error:
            self._file = None
            reason = USER_OF_URL.sub("", f"{type(error).__name__}: {error}")
            raise RunError(
                f"{self.name}: {reason}; nothing more is sent to it now, the next session sends "
                "the rest"
            ) from None

    def _send_run(self, run: Run) -> None:
        """Send what is missing of the trials."""
        for row in json_rows(run.trials()):
            number, state = int(row["number"]), row["state"]
            key = _key(number)
            is_begun = (run.folder_of(number) / CANDIDATE_FILE).exists()
            if not is_begun or state not in (*ENDED, "waiting"):
                continue
            candidate = run.candidate(number)
            self._begin(key, parameters_of(candidate), cost(candidate))
            self._send_curve(key, run.folder_of(number))
            if state in ENDED:
                self._end(key, state, {name: row[name] for name in RESULTS})

    def _finish_run(self, run: Run) -> None:
        self._send_run(run)
        if not status(run).has_ended:
            return
        try:
            report = write_report(run).parent
        except MissingExtraError:
            report = None
        self.finish(without_constants(run.front()), report)

    def _begin(self, key: str, parameters: Mapping[str, Parameter], price: Cost) -> None:
        if key not in self.sent.epochs:
            self.begin(key, parameters, {name: float(getattr(price, name)) for name in COSTS})
            self.sent.epochs[key] = 0

    def _send_curve(self, key: str, folder: Path) -> None:
        for result in read_curve(folder / CURVE)[self.sent.epochs.get(key, 0) :]:
            values = {
                "loss": result.loss,
                "validation_accuracy": result.validation_accuracy,
                "lr": result.lr,
                "restricted_share": result.restricted_share,
                "epoch_seconds": result.seconds,
            }
            known = {name: value for name, value in values.items() if value is not None}
            self.log(key, result.epoch, known)
            self.sent.epochs[key] = result.epoch

    def _end(self, key: str, state: str, values: Mapping[str, float | None]) -> None:
        """Send results that were not sent; a trial that was never begun has none."""
        sent = self.sent.results.get(key, {})
        found = {
            name: round(float(value), DECIMALS) for name, value in values.items()
            if name in RESULTS and value is not None
        }  # fmt: skip
        new = {name: value for name, value in found.items() if sent.get(name) != value}
        if key not in self.sent.epochs or (key in self.sent.results and not new):
            return
        self.end(key, state, new)
        self.sent.results[key] = sent | new


def parameters_of(candidate: Candidate) -> dict[str, Parameter]:
    """The fields of a network that are set, as plain values."""
    return flat(candidate.as_dict())


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Parameter]:
    """Nested values by dotted name; lists become texts, and None is left out."""
    found: dict[str, Parameter] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            plain = isinstance(value, str | int | float | bool)
            found[prefix + name] = value if plain else ", ".join(map(str, value))
    return found


def _key(number: int) -> str:
    return f"trial-{number}"
