"""The observer to which a run reports what happens."""

from __future__ import annotations

from ir2search.costs import Cost
from ir2search.runs.records import How, State
from ir2search.runs.run import Run
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import EpochResult


class RunObserver:
    """Is told what happens in a run. Override the methods that you need.

    All methods are called in the thread that called `ir2search.run`.
    """

    def on_open(self, run: Run) -> None:
        """The run's folder and its trials are open, before `on_start`."""

    def on_start(
        self, study: Study, done: list[dict[str, float] | None], waiting: list[int]
    ) -> None:
        """The data is ready and the search begins.

        Args:
            study: the study.
            done: the objectives of each trial that ended in an earlier session; None for a trial
                that failed or was stopped.
            waiting: numbers of the trials that wait at a rung.
        """

    def on_supernet_step(self, progress: float, epochs: int) -> None:
        """A training step of the supernet begins, after ``progress`` of ``epochs`` epochs."""

    def on_supernet_epoch(self, result: EpochResult, epochs: int) -> None:
        """One of the ``epochs`` epochs of the supernet is trained and saved."""

    def on_trial(self, number: int, candidate: Candidate, price: Cost) -> None:
        """The training of a candidate starts or continues; others may run at the same time."""

    def on_step(self, number: int, progress: float) -> None:
        """A training step begins; ``progress`` is the number of epochs so far, with a fraction."""

    def on_epoch(self, number: int, result: EpochResult) -> None:
        """An epoch is trained and saved."""

    def on_wait(self, number: int, epochs: int, accuracy: float) -> None:
        """A trial waits at a rung; ``accuracy`` is its best validation accuracy so far."""

    def on_trial_end(
        self, number: int, state: State, outcome: str, values: dict[str, float] | None
    ) -> None:
        """A trial ended.

        Args:
            number: the trial's number.
            state: how it ended.
            outcome: the reason, in words.
            values: its objectives by name; None unless it was trained to its end.
        """

    def on_remark(self, number: int, remark: str) -> None:
        """Something went wrong with a trial and was repaired."""

    def on_search_end(self, reason: str) -> None:
        """The search ends before all trials are trained."""

    def on_member(self, number: int, how: How, accuracy: float, inherited: float) -> None:
        """A front member of a search with shared weights was trained after the search.

        Args:
            number: the trial's number.
            how: ``"fine-tuned"`` or ``"trained"``.
            accuracy: its best validation accuracy.
            inherited: the validation accuracy before.
        """

    def on_confirm(self, number: int, seed: int, accuracy: float, test_accuracy: float) -> None:
        """A front member was trained again from its further seed number ``seed``."""

    def on_test(self, number: int, test_accuracy: float) -> None:
        """A front member was measured on the test set."""

    def on_end(self) -> None:
        """The work of this process on the run ends, also if it was interrupted or failed."""
