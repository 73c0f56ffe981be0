"""What several workers are given: no training here, the ledger says who is at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import Trial

import ir2search as ir
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.ledger import Ledger
from ir2search.search.samplers import surrogate
from ir2search.search.samplers.proposals import FRESH, POOL, _pool, ask, goes_on
from ir2search.space import SearchSpace
from ir2search.study.budget import study_costs
from ir2search.study.schema import Study, parse_study

RUNGS = {"minimum": 1, "factor": 3}


class Workers:
    """A study whose trainings begin and end when a test says so."""

    def __init__(self, values: dict[str, Any], folder: Path) -> None:
        self.study: Study = parse_study({**values, "sampler": "ehvi", "trials": 40}, "a.toml")
        self.space: SearchSpace = self.study.space.with_data((1, 8, 8), 10)
        self.storage = optuna.create_study(directions=["maximize", "minimize"])
        self.ledger = Ledger(self.study, self.space)
        self.timer = LatencyTimer(self.study, folder)
        self.trials: dict[int, Trial] = {}

    def begin(self) -> int:
        """Propose a trial and have it trained; its number."""
        trial = ask(self.study, self.space, self.storage, self.ledger, self.timer)
        self.trials[trial.number] = trial
        self.ledger.begin(trial.number, self.candidate(trial.number).id)
        self._go(trial.number)
        return trial.number

    def go_on(self) -> tuple[int, int] | None:
        """Have the trial trained that goes on, if one does."""
        step = goes_on(self.study, self.space, self.ledger)
        if step is not None:
            self._go(step[0])
        return step

    def reach(self, number: int, level: int, accuracy: float) -> None:
        self.ledger.underway.remove(number)
        trial, costs = self.trials[number], self.costs(number)
        self.ledger.reach(number, level, trial.params, costs, accuracy)

    def candidate(self, number: int) -> ir.Candidate:
        return self.space.candidate(self.trials[number].params)

    def costs(self, number: int) -> dict[str, Any]:
        candidate = self.candidate(number)
        return study_costs(self.study, candidate, ir.cost(candidate))

    def _go(self, number: int) -> None:
        self.ledger.train(number, self.trials[number].params, self.costs(number))


@pytest.fixture
def values(quick: dict[str, Any]) -> dict[str, Any]:
    """A space with many equally dear networks."""
    space = {"width": [0.125, 0.25, 0.5, 0.75, 1.0], "threshold": [0.0, 0.25, 0.5, 0.75, 1.0]}
    recipe = {**quick["recipe"], "epochs": 9}
    return {**quick, "space": {"depth": 8, **space}, "recipe": recipe}


@pytest.mark.parametrize("rungs", [None, RUNGS])
def test_before_anything_is_known_workers_begin_spread_over_the_costs(
    values: dict[str, Any], tmp_path: Path, rungs: dict[str, int] | None
) -> None:
    workers = Workers(values | ({"rungs": rungs} if rungs else {}), tmp_path)
    widths = [workers.candidate(workers.begin()).width for _ in range(5)]
    assert widths[:2] == [0.125, 1.0]
    assert sorted(widths) == [0.125, 0.25, 0.5, 0.75, 1.0]


def test_a_second_worker_begins_no_twin_of_what_the_first_one_has(
    values: dict[str, Any], tmp_path: Path
) -> None:
    """Without what is expected of the first, it would: networks of one width cost the same."""
    widths = {}
    for told in (False, True):
        workers = Workers(values, tmp_path)
        for accuracy in (0.4, 0.9, 0.7):
            workers.reach(workers.begin(), 0, accuracy)
        first = workers.begin()
        if not told:
            workers.ledger.underway.clear()
        widths[told] = [workers.candidate(each).width for each in (first, workers.begin())]
    assert widths[False][0] == widths[False][1] == widths[True][0] != widths[True][1]


def test_one_alone_shows_how_curves_go_on(values: dict[str, Any], tmp_path: Path) -> None:
    workers = Workers({**values, "rungs": RUNGS}, tmp_path)
    first, second = workers.begin(), workers.begin()
    workers.reach(first, 0, 0.3)
    workers.reach(second, 0, 0.4)
    assert workers.go_on() == (first, 1)
    assert workers.go_on() is None, "the other worker begins a new one"
    workers.reach(first, 1, 0.4)
    assert workers.go_on() == (first, 2)


def test_nobody_is_taken_up_who_is_at_work(values: dict[str, Any], tmp_path: Path) -> None:
    workers = Workers({**values, "rungs": RUNGS}, tmp_path)
    for number in range(6):
        workers.begin()
        workers.reach(number, 0, 0.3 + 0.05 * number)
    for level in (1, 2):
        workers._go(0)
        workers.reach(0, level, 0.3 + 0.1 * level)
    taken = [step[0] for step in iter(workers.go_on, None)]
    assert len(taken) == len(set(taken)) <= 5
    assert np.isin(taken, range(1, 6)).all()


def test_what_is_learned_from_does_not_grow_with_the_study(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of all trials would take as many hours as the trainings."""
    monkeypatch.setattr("ir2search.search.samplers.proposals.LATEST", 3)
    sizes = []
    worth = surrogate.worth

    def watched(pool: Any, pool_costs: Any, known: list[Any], *rest: Any) -> np.ndarray:
        sizes.append(len(known))
        return worth(pool, pool_costs, known, *rest)

    monkeypatch.setattr(surrogate, "worth", watched)
    workers = Workers(values, tmp_path)
    for trial in range(14):
        workers.reach(workers.begin(), 0, 0.9 - 0.01 * trial)
    assert max(sizes) <= len(workers.ledger.ladder.front()) + 3 < 14


WIDE = {"width": {"low": 0.125, "high": 1.0}, "threshold": {"low": 0.0, "high": 1.0}, "depth": 8}


def test_a_proposal_in_a_large_space_counts_few_networks(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting takes longer than comparing; what was counted is compared again."""
    counted: list[str] = []

    def watched(candidate: ir.Candidate) -> ir.Cost:
        counted.append(candidate.id)
        return ir.cost(candidate)

    monkeypatch.setattr("ir2search.search.samplers.proposals.cost", watched)
    workers = Workers({**values, "space": WIDE}, tmp_path)
    for trial in range(POOL // FRESH + 2):
        workers.reach(workers.begin(), 0, 0.5 + 0.01 * trial)
        assert len(counted) <= FRESH * (trial + 1)
    compared = _pool(workers.study, workers.space, workers.ledger, workers.ledger.proposed)
    assert POOL // 2 < len(compared) <= POOL

    resumed = Ledger(workers.study, workers.space)
    resumed.seen = workers.ledger.seen
    again = _pool(workers.study, workers.space, resumed, workers.ledger.proposed)
    assert [each.point for each in again] == [each.point for each in compared]


def test_under_a_tight_budget_as_many_networks_are_compared(
    values: dict[str, Any], tmp_path: Path
) -> None:
    free = Workers({**values, "space": WIDE}, tmp_path)
    costs = sorted(each.costs["ops"] for each in _pool(free.study, free.space, free.ledger, 1))
    limit = costs[len(costs) // 4]
    tight = Workers({**values, "space": WIDE, "budget": {"ops": limit}}, tmp_path)
    pool = _pool(tight.study, tight.space, tight.ledger, 1)
    assert len(pool) == FRESH
    assert max(each.costs["ops"] for each in pool) <= limit
