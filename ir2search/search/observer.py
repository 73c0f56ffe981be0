"""What a run tells while it works."""

from __future__ import annotations

from ir2search.costs import Cost
from ir2search.runs.records import State
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import EpochResult


class RunObserver:
    """Told what happens, always in the thread that called `run`; every method may be overridden."""

    def on_start(
        self, study: Study, done: list[dict[str, float] | None], waiting: list[int]
    ) -> None:
        """The data is ready; ``done`` has the objectives of what earlier sessions trained.

        None stands for a trial that failed or was stopped; ``waiting`` are the numbers of trials
        that wait at a rung.
        """

    def on_trial(self, number: int, candidate: Candidate, price: Cost) -> None:
        """A candidate's training starts or goes on; with several workers, beside others."""

    def on_step(self, number: int, progress: float) -> None:
        """A training step begins, after so many epochs and parts of one."""

    def on_epoch(self, number: int, result: EpochResult) -> None:
        """An epoch is on disk."""

    def on_wait(self, number: int, epochs: int, accuracy: float) -> None:
        """A trial reached a rung and waits there, with its best validation accuracy so far."""

    def on_trial_end(
        self, number: int, state: State, outcome: str, values: dict[str, float] | None
    ) -> None:
        """A trial ended in a state; ``outcome`` says why it was not trained."""

    def on_remark(self, number: int, remark: str) -> None:
        """Something went wrong with a trial and was mended."""

    def on_search_end(self, reason: str) -> None:
        """The search ends before all trials are trained; ``reason`` says why."""

    def on_confirm(self, number: int, seed: int, accuracy: float, test_accuracy: float) -> None:
        """A front member was trained from a further seed, the ``seed``-th."""

    def on_test(self, number: int, test_accuracy: float) -> None:
        """A front member was measured on the test set."""
