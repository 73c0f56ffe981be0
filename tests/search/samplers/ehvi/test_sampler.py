"""Proposals for several workers. Nothing is trained: the ledger says what is in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from replay import ReplayExecutor

import ir2search as ir
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.ledger import Ledger
from ir2search.search.problem import Problem
from ir2search.search.pruners.base import Promotion
from ir2search.search.samplers.ehvi import sampler as ehvi
from ir2search.search.samplers.registry import make_sampler
from ir2search.study.loading import parse_study

RUNGS = {"minimum": 1, "factor": 3}


class Workers:
    """A study whose trainings begin and end when a test says so."""

    def __init__(self, values: dict[str, Any], folder: Path) -> None:
        study = parse_study({**values, "sampler": "ehvi", "trials": 40}, "a.toml")
        self.space = study.space.with_data((1, 8, 8), 10)
        self.problem = Problem(study, self.space, LatencyTimer(study, folder))
        self.ledger = Ledger(study, self.space)
        self.sampler = make_sampler(self.problem, self.ledger)
        self.pruner = self.sampler.pruner()

    def begin(self) -> int:
        """Propose a trial and start its training; return its number."""
        number = self.ledger.proposed
        point = self.sampler.propose(number)
        assert point
        self.ledger.proposed += 1
        priced = self.problem.priced(point)
        self.ledger.start(number, priced.candidate.id)
        self.ledger.mark_running(number, priced)
        return number

    def go_on(self) -> Promotion | None:
        """Start the further training that the pruner chooses, if any."""
        promotion = self.pruner.next(self.ledger.running)
        if promotion is not None:
            self.train_further(promotion.number)
        return promotion

    def train_further(self, number: int) -> None:
        self.ledger.mark_running(number, self.ledger.candidates[number])

    def reach(self, number: int, level: int, accuracy: float) -> None:
        self.ledger.running.remove(number)
        priced = self.ledger.candidates[number]
        self.sampler.learn(self.ledger.reach(number, level, priced, accuracy, number))

    def candidate(self, number: int) -> ir.Candidate:
        return self.ledger.candidates[number].candidate


@pytest.fixture
def values(quick: dict[str, Any]) -> dict[str, Any]:
    """A space in which many networks cost the same."""
    space = {"width": [0.125, 0.25, 0.5, 0.75, 1.0], "threshold": [0.0, 0.25, 0.5, 0.75, 1.0]}
    recipe = {**quick["recipe"], "epochs": 9}
    return {**quick, "space": {"depth": 8, **space}, "recipe": recipe}


@pytest.mark.parametrize("rungs", [None, RUNGS])
def test_the_first_candidates_are_spread_over_the_costs(
    values: dict[str, Any], tmp_path: Path, rungs: dict[str, int] | None
) -> None:
    workers = Workers(values | ({"rungs": rungs} if rungs else {}), tmp_path)
    widths = [workers.candidate(workers.begin()).width for _ in range(5)]
    assert widths[:2] == [0.125, 1.0]
    assert sorted(widths) == [0.125, 0.25, 0.5, 0.75, 1.0]


def test_a_second_worker_does_not_begin_a_twin_of_a_running_network(
    values: dict[str, Any], tmp_path: Path
) -> None:
    """Networks of one width cost the same: the model must know which network is running."""
    widths = {}
    for told in (False, True):
        workers = Workers(values, tmp_path)
        for accuracy in (0.4, 0.9, 0.7):
            workers.reach(workers.begin(), 0, accuracy)
        first = workers.begin()
        if not told:
            workers.ledger.running.clear()
        widths[told] = [workers.candidate(each).width for each in (first, workers.begin())]
    assert widths[False][0] == widths[False][1] == widths[True][0] != widths[True][1]


def test_only_the_first_trial_goes_to_its_end_at_once(
    values: dict[str, Any], tmp_path: Path
) -> None:
    workers = Workers({**values, "rungs": RUNGS}, tmp_path)
    first, second = workers.begin(), workers.begin()
    workers.reach(first, 0, 0.3)
    workers.reach(second, 0, 0.4)
    assert workers.go_on() == (first, 1)
    assert workers.go_on() is None, "the other worker begins a new one"
    workers.reach(first, 1, 0.4)
    assert workers.go_on() == (first, 2)


def test_a_running_trial_is_not_chosen_again(values: dict[str, Any], tmp_path: Path) -> None:
    workers = Workers({**values, "rungs": RUNGS}, tmp_path)
    for number in range(6):
        workers.begin()
        workers.reach(number, 0, 0.3 + 0.05 * number)
    for level in (1, 2):
        workers.train_further(0)
        workers.reach(0, level, 0.3 + 0.1 * level)
    taken = [step.number for step in iter(workers.go_on, None)]
    assert len(taken) == len(set(taken)) <= 5
    assert np.isin(taken, range(1, 6)).all()


def test_the_number_of_trials_that_are_learned_from_is_limited(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of all trials would take longer than the trainings."""
    monkeypatch.setattr(ehvi, "LATEST", 3)
    sizes = []
    expected_gains = ehvi.expected_gains

    def watched(pool: Any, pool_costs: Any, known: list[Any], *rest: Any) -> np.ndarray:
        sizes.append(len(known))
        return expected_gains(pool, pool_costs, known, *rest)

    monkeypatch.setattr(ehvi, "expected_gains", watched)
    workers = Workers(values, tmp_path)
    for trial in range(14):
        workers.reach(workers.begin(), 0, 0.9 - 0.01 * trial)
    assert max(sizes) <= len(workers.ledger.progress.front()) + 3 < 14


def test_the_first_trial_and_the_front_are_trained_to_the_end(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    recipe = {**quick["recipe"], "epochs": 4}
    rungs = {"minimum": 1, "factor": 2}
    values = {**quick, "recipe": recipe, "rungs": rungs, "sampler": "ehvi", "trials": 6}
    ir.run(parse_study(values, "a.toml"), tmp_path / "run", executor=ReplayExecutor)
    table = ir.trials(tmp_path / "run")
    begun = table[table["state"].isin(["trained", "stopped"])]
    assert len(begun) == 6
    assert begun["epochs"].iloc[0] == 4
    assert begun["ops"].iloc[0] == begun["ops"].min()
    for _, stopped in begun[begun["state"] == "stopped"].iterrows():
        as_cheap = begun[
            (begun["ops"] <= stopped["ops"]) & (begun["accuracy"] >= stopped["accuracy"])
        ]
        assert len(as_cheap) > 1, "another is as good at its costs"


def start(values: dict[str, Any], folder: Path) -> pd.DataFrame:
    ir.run(parse_study(values, "a.toml"), folder, executor=ReplayExecutor)
    return ir.trials(folder).drop(columns="seconds")


@pytest.mark.parametrize("rungs", [None, {"minimum": 1, "factor": 2}])
def test_a_study_begins_spread_over_the_costs_and_repeats_no_network(
    quick: dict[str, Any], tmp_path: Path, rungs: dict[str, int] | None
) -> None:
    values = {**quick, "sampler": "ehvi", "trials": 5}
    if rungs:
        values |= {"recipe": {**quick["recipe"], "epochs": 2}, "rungs": rungs}
    table = start(values, tmp_path / "run")
    assert table["duplicate_of"].isna().all()
    assert table["ops"].iloc[0] == table["ops"].min()
    assert rungs or table["ops"].iloc[1] == table["ops"].max()
    assert start(values, tmp_path / "again").equals(table)
