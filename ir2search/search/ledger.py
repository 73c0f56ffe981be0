"""What a driver knows of its study's trials, all of it from Optuna's storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ir2search.runs.records import Recorded, State, costs_of_record, read_record, state_of
from ir2search.search.pruners.rungs import Ladder, Observations
from ir2search.space import Candidate, SearchSpace
from ir2search.study.objectives import MEDIAN, OBJECTIVES
from ir2search.study.schema import Study


@dataclass(frozen=True)
class Offer:
    """What may be proposed.

    Attributes:
        point: its parameters.
        candidate: the network that they name.
        costs: its costs by column.
    """

    point: dict[str, Any]
    candidate: Candidate
    costs: dict[str, Any]


class Ledger:
    """The trials of a study: who stands for which candidate, who reached which rung.

    Attributes:
        ladder: who goes on to which rung.
        observations: what samplers learn from that do not learn from the storage.
        known: parameters and costs of trials that are in training or reached a rung.
        underway: those in training, by any driver.
        seen: the trial that stands for a candidate, by the candidate's id.
        outcomes: state and values of ended trials that stand for one.
        begun: trials that were trained or are, at least to the first rung; they count towards
            those that a study asks for.
        proposed: how many trials there are, without those that were never wholly proposed: their
            proposals are made again, from the same seed.
        stale: how many proposals in a row had nothing to train.
        queued: how many points are proposed next.
        offers: what may be proposed, by the proposal it was drawn for and by its id.
        backbones: ids of the shared backbones of trials that reached a rung.
        spent: epochs, on all trials and on the backbones that they share.
        times: operations and latency of those that reached a rung, where it is measured.
    """

    def __init__(self, study: Study, space: SearchSpace) -> None:
        rungs, epochs = study.rungs, study.recipe.epochs
        levels = (epochs,) if rungs is None else rungs.levels(epochs)
        self.study, self.space = study, space
        self.ladder = Ladder(levels, 1 if rungs is None else rungs.factor)
        self.observations = Observations(len(levels), len(study.objectives))
        self.known: dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        self.underway: set[int] = set()
        self.seen: dict[str, int] = {}
        self.outcomes: dict[int, tuple[TrialState, list[float] | None]] = {}
        self.begun: set[int] = set()
        self.proposed = 0
        self.stale = 0
        self.queued = 0
        self.offers: dict[int, dict[str, Offer]] = {}
        self.backbones: set[str] = set()
        self.spent = 0
        self.times: dict[int, tuple[float, float]] = {}

    def learn(self, trial: FrozenTrial) -> State:
        """Learn how a trial stands in the storage; what was known of it is not learned again."""
        recorded = read_record(trial)
        state = state_of(trial.state, recorded)
        if trial.number in self.outcomes:
            return state
        self._learn_rungs(trial, recorded)
        if state == "waiting" and recorded.candidate_id is not None:
            self.begin(trial.number, recorded.candidate_id)
        elif trial.state.is_finished():
            self.end(trial.number, recorded, trial.state, trial.values)
        return state

    def count(self, proposed: list[FrozenTrial]) -> None:
        """Count the trials of the storage that were proposed."""
        self.proposed = len(proposed)
        last = max(self.begun, default=-1)
        self.stale = sum(trial.number > last for trial in proposed)

    def train(self, number: int, parameters: Mapping[str, Any], costs: Mapping[str, Any]) -> None:
        """A trial is in training."""
        self.known[number] = parameters, costs
        self.underway.add(number)

    def begin(self, number: int, candidate_id: str) -> None:
        """A trial's training begins."""
        self.seen[candidate_id] = number
        self.begun.add(number)
        self.stale = 0

    def reach(
        self,
        number: int,
        level: int,
        parameters: Mapping[str, Any],
        costs: Mapping[str, Any],
        accuracy: float,
    ) -> None:
        """A trial reached a level with its best accuracy so far."""
        values = self.minimised(costs, accuracy)
        self.ladder.record(number, level, values)
        self.known[number] = parameters, costs
        if MEDIAN in costs:
            self.times[number] = costs["ops"], costs[MEDIAN]
        self.spent += self.ladder.levels[level] - (self.ladder.levels[level - 1] if level else 0)
        if self.study.warm_start is not None:
            backbone = self.space.candidate(parameters).backbone_only().id
            self.spent += self.study.warm_start.epochs if backbone not in self.backbones else 0
            self.backbones.add(backbone)
        if self.study.rungs is not None:
            self.observations.add(level, parameters, values)

    def end(
        self,
        number: int,
        recorded: Recorded,
        state: TrialState,
        values: list[float] | None,
    ) -> None:
        """A trial ended. One that named no network, or repeats another, stands for nothing."""
        self.ladder.end(number)
        if recorded.candidate_id is None or recorded.duplicate_of is not None:
            return
        self.seen[recorded.candidate_id] = number
        self.outcomes[number] = (state, values)
        if recorded.rungs is not None or state in (TrialState.COMPLETE, TrialState.FAIL):
            self.begun.add(number)

    def values(self, costs: Mapping[str, Any], accuracy: float) -> dict[str, float]:
        """The objectives of these totals of a cost, as Optuna is told them, by name."""
        return {
            name: accuracy if name == "accuracy" else float(costs[OBJECTIVES[name].column])
            for name in self.study.objectives
        }

    def minimised(self, costs: Mapping[str, Any], accuracy: float) -> tuple[float, ...]:
        """The same, each to be made small."""
        values = self.values(costs, accuracy)
        return tuple(1 - value if name == "accuracy" else value for name, value in values.items())

    def named(self, values: list[float] | None) -> dict[str, float] | None:
        """A trial's values by objective."""
        return dict(zip(self.study.objectives, values, strict=True)) if values else None

    def ended(self) -> list[dict[str, float] | None]:
        """The objectives of ended trials that count; None for one that failed or was stopped."""
        return [
            self.named(values)
            for number, (_, values) in self.outcomes.items()
            if number in self.begun
        ]

    def _learn_rungs(self, trial: FrozenTrial, recorded: Recorded) -> None:
        if recorded.duplicate_of is not None:
            return
        reached = dict(recorded.rungs or {})
        if trial.state == TrialState.COMPLETE and recorded.accuracy is not None:
            reached[self.ladder.levels[-1]] = recorded.accuracy
        for epochs, best in reached.items():
            level = self.ladder.levels.index(epochs)
            if not self.ladder.has(trial.number, level):
                self.reach(trial.number, level, trial.params, costs_of_record(recorded), best)
