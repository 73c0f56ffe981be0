"""Record results and ends of trials in the storage and the ledger, and tell the observer."""

from __future__ import annotations

from optuna.trial import Trial, TrialState

from ir2search.runs.layout import trial_folder
from ir2search.runs.records import Recorded, costs_of_record, read_record, state_of, write_record
from ir2search.runs.storages import RunStudy
from ir2search.search.driver_setup import DriverSetup
from ir2search.search.failures import record_failure
from ir2search.search.ledger import Ledger, RungResult
from ir2search.study.schema import Study
from ir2search.training import TrainingResult


class TrialRecorder:
    """Records results of trials, and ends trials."""

    def __init__(self, study: Study, storage: RunStudy, ledger: Ledger, setup: DriverSetup) -> None:
        self._study, self._storage, self._ledger, self._setup = study, storage, ledger, setup

    def reach(self, trial: Trial, level: int, result: TrainingResult) -> RungResult:
        """Record what a trial has reached at a rung; levels count from 0."""
        best, rungs = result.best, None
        if self._study.rungs is not None:
            epochs = self._ledger.progress.levels[level]
            rungs = (read_record(trial).rungs or {}) | {epochs: result.accuracy}
        write_record(
            trial,
            Recorded(
                seconds=result.seconds,
                best_epoch=best.epoch,
                accuracy=result.accuracy,
                rungs=rungs,
            ),
        )
        priced = self._ledger.candidates[trial.number]
        return self._ledger.reach(trial.number, level, priced, result.accuracy)

    def complete(self, trial: Trial) -> None:
        """End a trial that was trained to its end."""
        recorded = read_record(trial)
        assert recorded.accuracy is not None
        values = self._ledger.values(costs_of_record(recorded), recorded.accuracy)
        self._end(trial, TrialState.COMPLETE, "trained", list(values.values()))

    def stop(self, trial: Trial, reason: str) -> None:
        """End a trial that waits at a rung."""
        epochs = max(read_record(trial).rungs or {0: 0.0})
        whole = self._study.recipe.epochs
        self._end(trial, TrialState.PRUNED, f"stopped after {epochs} of {whole} epochs: {reason}")

    def reject(self, trial: Trial, reason: str) -> None:
        """End a trial whose candidate is not trained."""
        self._end(trial, TrialState.PRUNED, reason)

    def interrupted(self, trial: Trial) -> None:
        """End a trial whose driver was killed before all its parameters were stored."""
        self._end(trial, TrialState.FAIL, "interrupted before it was proposed")

    def repeat(self, trial: Trial, original: int) -> None:
        """End a trial whose candidate another trial has; it gets the values of that trial."""
        write_record(trial, Recorded(duplicate_of=original))
        state, values = self._ledger.outcomes.get(original, (TrialState.PRUNED, None))
        self._end(trial, state, f"same network as trial {original}", values)

    def fail(self, trial: Trial, reason: str, details: str | None) -> None:
        """End a trial that failed, with the reason in one line and the traceback if any."""
        run = self._setup.folder
        outcome = record_failure(run, trial_folder(run, trial.number), reason, details)
        self._end(trial, TrialState.FAIL, outcome)

    def _end(
        self, trial: Trial, state: TrialState, outcome: str, values: list[float] | None = None
    ) -> None:
        write_record(trial, Recorded(outcome=outcome))
        recorded = read_record(self._storage.tell(trial, values, state))
        self._ledger.end(trial.number, recorded, state, values)
        self._setup.observer.on_trial_end(
            trial.number, state_of(state, recorded), outcome, self._ledger.named(values)
        )
