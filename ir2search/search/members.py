"""The end of a search with shared weights: its front is fine-tuned, or trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ir2search.runs.layout import trial_folder
from ir2search.runs.members import Member, keep_member, member_epochs, member_folder, read_member
from ir2search.runs.records import trial_records
from ir2search.runs.storages import RunStudy
from ir2search.runs.supernets import RunSupernet
from ir2search.runs.tables import front_of, recorded_table
from ir2search.search.confirm import results_of
from ir2search.search.executors import Executor, ExecutorSettings, TrainingJob
from ir2search.search.failures import record_failure
from ir2search.search.problem import Problem
from ir2search.seeds import training_seed


class FrontMembers:
    """Trains the front by inherited accuracy, as ``members`` in ``[supernet]`` says."""

    def __init__(
        self,
        supernet: RunSupernet,
        problem: Problem,
        storage: RunStudy,
        settings: ExecutorSettings,
    ) -> None:
        self.supernet, self.storage, self.settings = supernet, storage, settings
        self.study, self.space = problem.study, problem.space

    def train(self, executor: Executor) -> None:
        """Train the members that have no result yet.

        Raises:
            Interrupted: the driver was asked to stop.
        """
        assert self.study.supernet is not None
        how = self.study.supernet.members
        if how == "inherited":
            return
        inherited = self._inherited()
        for outcome in results_of(self._jobs(how, inherited), self.settings, executor):
            number, folder = outcome.job.number, outcome.job.folder
            if outcome.failure is not None:
                details, run = outcome.traceback, self.settings.folder
                reason = record_failure(run, folder, outcome.failure, details)
                self.settings.observer.on_remark(number, f"is not {how}: {reason}")
            if outcome.result is None:
                continue
            member = Member(
                how=how,
                epochs=member_epochs(self.study),
                accuracy=outcome.result.accuracy,
                best_epoch=outcome.result.best.epoch,
                seconds=outcome.result.seconds,
            )
            keep_member(trial_folder(self.settings.folder, number), member)
            self.settings.observer.on_member(number, how, member.accuracy, inherited[number])

    def _inherited(self) -> dict[int, float]:
        """The inherited accuracies of the front by number; the storage has no others."""
        trials = self.storage.get_trials(deepcopy=False)
        table = recorded_table(trial_records(trials, self.study), self.study)
        front = front_of(table, self.study)
        return dict(zip(map(int, front["number"]), map(float, front["accuracy"]), strict=True))

    def _jobs(
        self, how: Literal["fine-tuned", "trained"], numbers: dict[int, float]
    ) -> Iterator[TrainingJob]:
        """The trainings that have no result yet."""
        trials, epochs = self.storage.get_trials(deepcopy=False), member_epochs(self.study)
        for number in numbers:
            folder = trial_folder(self.settings.folder, number)
            done = read_member(folder)
            if done is not None and (done.how, done.epochs) == (how, epochs):
                continue
            candidate = self.space.candidate(trials[number].params)
            is_fine_tuned = how == "fine-tuned"
            yield TrainingJob(
                number,
                candidate,
                member_folder(folder, how, epochs),
                seed=training_seed(self.study.seed, candidate.id),
                supernet=self.supernet if is_fine_tuned else None,
                finetune=epochs if is_fine_tuned else None,
            )
