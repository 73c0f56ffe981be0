"""What is known of a study's trials; all of it follows from the study's storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from ir2search.runs.records import TrialAttributes, read_attributes, state_of
from ir2search.search.problem import PricedCandidate
from ir2search.search.pruners.progress import Progress
from ir2search.space import SearchSpace
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study


@dataclass(frozen=True)
class RungResult:
    """What a trial reached at a rung; without rungs, at its end.

    Attributes:
        number: of the trial.
        level: of the rung, from 0.
        candidate: the trial's network, with its parameters and costs.
        values: the objectives in the study's order, each to be minimised; the error 1 - accuracy
            in place of the accuracy.
        order: position of the training that reached it among the trainings of the run.
    """

    number: int
    level: int
    candidate: PricedCandidate
    values: tuple[float, ...]
    order: int


class Ledger:
    """The trials of a study. Samplers and pruners read it; the driver writes it.

    Attributes:
        progress: the results of trials at the rungs.
        candidates: the candidate of each trial that is in training or has a result, by number.
        running: numbers of the trials in training, by any driver.
        trial_of: number of the trial that stands for a candidate, by the candidate's id.
        outcomes: final state and values of each ended trial that stands for a candidate.
        retried: numbers of failed trials that other trials train again.
        started: numbers of the trials whose training began. The study asks for this many.
        proposed: number of proposals. One that was interrupted before all its parameters were
            stored does not count: it is repeated from the same seed.
        untrained: number of proposals since the latest one that started a training.
        queued: number of points in the storage that are proposed next.
        trainings: number of trainings that have begun; each further rung counts as one.
        epochs_spent: epochs of all trials, of their shared backbones, and of the supernet.
    """

    def __init__(self, study: Study, space: SearchSpace) -> None:
        epochs = study.recipe.epochs if study.supernet is None else study.supernet.epochs
        self._study, self._space = study, space
        self._backbones: set[str] = set()
        self.progress = Progress((epochs,) if study.rungs is None else study.rungs.levels(epochs))
        self.candidates: dict[int, PricedCandidate] = {}
        self.running: set[int] = set()
        self.trial_of: dict[str, int] = {}
        self.outcomes: dict[int, tuple[TrialState, list[float] | None]] = {}
        self.retried: set[int] = set()
        self.started: set[int] = set()
        self.proposed = 0
        self.untrained = 0
        self.queued = 0
        self.trainings = 0
        self.epochs_spent = 0 if study.supernet is None else study.supernet.epochs

    def read(self, trial: FrozenTrial) -> list[RungResult]:
        """Learn what the storage knows of a trial; return its results that are new."""
        if trial.number in self.outcomes or trial.number in self.retried:
            return []
        recorded = read_attributes(trial)
        if recorded.order is not None:
            self.trainings = max(self.trainings, recorded.order + 1)
        results = self._new_results(trial, recorded)
        if state_of(trial.state, recorded) == "waiting" and recorded.candidate_id is not None:
            self.start(trial.number, recorded.candidate_id)
        elif trial.state.is_finished():
            self.end(trial.number, recorded, trial.state, trial.values)
        return results

    def count(self, proposed: Sequence[FrozenTrial]) -> None:
        """Count proposals: all trials in the storage that have all their parameters."""
        self.proposed = len(proposed)
        last = max(self.started, default=-1)
        self.untrained = sum(trial.number > last for trial in proposed)

    def start(self, number: int, candidate_id: str) -> None:
        """Note that the training of a trial has begun."""
        self.trial_of[candidate_id] = number
        self.started.add(number)
        self.untrained = 0

    def forget(self, number: int) -> None:
        """Forget a failed trial that another one trains again."""
        self.retried.add(number)
        self.started.discard(number)
        self.outcomes.pop(number, None)
        self.trial_of = {key: trial for key, trial in self.trial_of.items() if trial != number}

    def mark_running(self, number: int, candidate: PricedCandidate) -> None:
        """Note that a trial is in training."""
        self.candidates[number] = candidate
        self.running.add(number)

    def reach(
        self, number: int, level: int, candidate: PricedCandidate, accuracy: float, order: int
    ) -> RungResult:
        """Note the best validation accuracy that a trial has reached at a rung.

        ``order`` is the position of its training among those of the run.
        """
        values = self.minimised(candidate.costs, accuracy)
        result = RungResult(number, level, candidate, values, order)
        self.progress.record(number, level, result.values)
        self.candidates[number] = candidate
        levels = self.progress.levels
        if self._study.supernet is None:
            self.epochs_spent += levels[level] - (levels[level - 1] if level else 0)
        if self._study.warm_start is not None:
            backbone = candidate.candidate.backbone_only().id
            is_new = backbone not in self._backbones
            self.epochs_spent += self._study.warm_start.epochs if is_new else 0
            self._backbones.add(backbone)
        return result

    def end(
        self, number: int, recorded: TrialAttributes, state: TrialState, values: list[float] | None
    ) -> None:
        """Note that a trial ended. It stands for its candidate unless it is a duplicate."""
        self.progress.end(number)
        if recorded.candidate_id is None or recorded.duplicate_of is not None:
            return
        self.trial_of[recorded.candidate_id] = number
        self.outcomes[number] = (state, values)
        if recorded.rungs is not None or state in (TrialState.COMPLETE, TrialState.FAIL):
            self.started.add(number)

    def values(self, costs: Mapping[str, Any], accuracy: float) -> dict[str, float]:
        """The objectives of a candidate by name, from its costs by column and its accuracy."""
        return {
            name: accuracy if name == "accuracy" else float(costs[OBJECTIVES[name].column])
            for name in self._study.objectives
        }

    def minimised(self, costs: Mapping[str, Any], accuracy: float) -> tuple[float, ...]:
        """The objectives of a candidate in the study's order, each to be minimised."""
        values = self.values(costs, accuracy)
        return tuple(1 - value if name == "accuracy" else value for name, value in values.items())

    def why_dominated(self, costs: Mapping[str, Any]) -> str | None:
        """Why a candidate with these costs is dominated even at 100% accuracy, or None."""
        if "accuracy" not in self._study.objectives:
            return None
        ideal = self.minimised(costs, 1.0)
        for number, values in self.progress.finished():
            if all(value <= best for value, best in zip(values, ideal, strict=True)):
                return f"dominated by trial {number} even at 100% accuracy"
        return None

    def named(self, values: list[float] | None) -> dict[str, float] | None:
        """The values of a trial by objective; None for a trial without values."""
        return dict(zip(self._study.objectives, values, strict=True)) if values else None

    def ended(self) -> list[dict[str, float] | None]:
        """The objectives of each trial that ended; None for one that failed or was stopped."""
        return [
            self.named(values)
            for number, (_, values) in self.outcomes.items()
            if number in self.started
        ]

    def stored(self, trial: FrozenTrial | Trial, recorded: TrialAttributes) -> PricedCandidate:
        """The candidate of a trial whose training was started, with the recorded costs."""
        assert recorded.cost is not None, "costs are recorded before the training"
        return PricedCandidate(trial.params, self._space.candidate(trial.params), recorded.cost)

    def _new_results(self, trial: FrozenTrial, recorded: TrialAttributes) -> list[RungResult]:
        if recorded.duplicate_of is not None:
            return []
        reached = dict(recorded.rungs or {})
        if trial.state == TrialState.COMPLETE and recorded.accuracy is not None:
            reached[self.progress.levels[-1]] = recorded.accuracy
        levels, orders = self.progress.levels, recorded.rung_orders or {}
        new = [each for each in reached if not self.progress.has(trial.number, levels.index(each))]
        if not new:
            return []
        priced, last = self.stored(trial, recorded), recorded.order or 0
        results = []
        for epochs in new:
            level, order = levels.index(epochs), orders.get(epochs, last)
            results.append(self.reach(trial.number, level, priced, reached[epochs], order))
        return results
