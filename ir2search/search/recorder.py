"""Record results and ends of trials in the storage and the ledger, and tell the observer."""

from __future__ import annotations

from optuna.trial import Trial, TrialState

from ir2search.runs.layout import trial_folder
from ir2search.runs.records import TrialAttributes, read_attributes, state_of, write_attributes
from ir2search.runs.storages import RunStudy
from ir2search.search.executors import ExecutorSettings
from ir2search.search.failures import record_failure
from ir2search.search.ledger import Ledger, RungResult
from ir2search.training import TrainingResult


class TrialRecorder:
    """Records results of trials, and ends trials."""

    def __init__(self, storage: RunStudy, ledger: Ledger, settings: ExecutorSettings) -> None:
        self._storage, self._ledger, self._study = storage, ledger, settings.study
        self._folder, self._observer = settings.folder, settings.observer

    def reach(self, trial: Trial, level: int, result: TrainingResult) -> RungResult:
        """Record what a trial has reached at a rung; levels count from 0."""
        recorded = read_attributes(trial)
        assert recorded.order is not None
        rungs, orders = None, None
        if self._study.rungs is not None:
            epochs = self._ledger.progress.levels[level]
            rungs = (recorded.rungs or {}) | {epochs: result.accuracy}
            orders = (recorded.rung_orders or {}) | {epochs: recorded.order}
        reached = TrialAttributes(
            seconds=result.seconds,
            best_epoch=result.best.epoch,
            accuracy=result.accuracy,
            rung_orders=orders,
            how=None if self._study.supernet is None else "inherited",
        )
        write_attributes(trial, reached)
        # last: after a kill in between, the training is sent again and answers from its checkpoint
        write_attributes(trial, TrialAttributes(rungs=rungs))
        priced = self._ledger.candidates[trial.number]
        return self._ledger.reach(trial.number, level, priced, result.accuracy, recorded.order)

    def complete(self, trial: Trial) -> None:
        """End a trial that was trained to its end."""
        recorded = read_attributes(trial)
        assert recorded.cost is not None
        assert recorded.accuracy is not None
        values = self._ledger.values(recorded.cost, recorded.accuracy)
        outcome = "trained" if recorded.how is None else "inherited from the supernet"
        self._end(trial, TrialState.COMPLETE, outcome, list(values.values()))

    def stop(self, trial: Trial, reason: str) -> None:
        """End a trial that waits at a rung."""
        epochs = max(read_attributes(trial).rungs or {0: 0.0})
        whole = self._study.recipe.epochs
        self._end(trial, TrialState.PRUNED, f"stopped after {epochs} of {whole} epochs: {reason}")

    def reject(self, trial: Trial, reason: str) -> None:
        """End a trial whose candidate is not trained."""
        self._end(trial, TrialState.PRUNED, reason)

    def abandon(self, trial: Trial) -> None:
        """End a trial whose driver was killed before all its parameters were stored."""
        self._end(trial, TrialState.FAIL, "interrupted before it was proposed")

    def repeat(self, trial: Trial, original: int) -> None:
        """End a trial whose candidate another trial has; it gets the values of that trial."""
        write_attributes(trial, TrialAttributes(duplicate_of=original))
        state, values = self._ledger.outcomes.get(original, (TrialState.PRUNED, None))
        self._end(trial, state, f"same network as trial {original}", values)

    def fail(self, trial: Trial, reason: str, details: str | None) -> None:
        """End a trial that failed, with the reason in one line and the traceback if any."""
        folder = trial_folder(self._folder, trial.number)
        outcome = record_failure(self._folder, folder, reason, details)
        self._end(trial, TrialState.FAIL, outcome)

    def _end(
        self, trial: Trial, state: TrialState, outcome: str, values: list[float] | None = None
    ) -> None:
        write_attributes(trial, TrialAttributes(outcome=outcome))
        recorded = read_attributes(self._storage.tell(trial, values, state))
        self._ledger.end(trial.number, recorded, state, values)
        self._observer.on_trial_end(
            trial.number, state_of(state, recorded), outcome, self._ledger.named(values)
        )
