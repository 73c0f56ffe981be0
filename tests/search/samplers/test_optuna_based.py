from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution

from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.ledger import Ledger
from ir2search.search.problem import Problem
from ir2search.search.samplers.base import Sampler
from ir2search.search.samplers.optuna_based import ENOUGH, RungResults
from ir2search.search.samplers.registry import make_sampler
from ir2search.study.loading import parse_study


def sampler_of(values: dict[str, Any], folder: Path) -> Sampler:
    study = parse_study(values, "a.toml")
    space = study.space.with_data((1, 8, 8), 10)
    problem = Problem(study, space, LatencyTimer(study, folder))
    return make_sampler(problem, Ledger(study, space))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nsga2", "NSGAIISampler"),
        ("nsga3", "NSGAIIISampler"),
        ("tpe", "TPESampler"),
        ("gp", "GPSampler"),
        ("random", "RandomSampler"),
        ("ehvi", "RandomSampler"),
        ("grid", "RandomSampler"),
    ],
)
def test_each_name_has_its_sampler_of_optuna(
    quick: dict[str, Any], tmp_path: Path, name: str, kind: str
) -> None:
    sampler = sampler_of({**quick, "sampler": name}, tmp_path)
    assert type(sampler.optuna_sampler(0)).__name__ == kind


def test_each_proposal_has_a_seed_of_its_own(quick: dict[str, Any], tmp_path: Path) -> None:
    space = {"x": FloatDistribution(0, 1)}

    def draw(seed: int, number: int) -> float:
        sampler = sampler_of({**quick, "sampler": "tpe", "seed": seed}, tmp_path)
        study = optuna.create_study(sampler=sampler.optuna_sampler(number))
        return float(study.ask(space).params["x"])

    assert draw(0, 0) == draw(0, 0)
    assert len({draw(seed, number) for seed in (0, 1) for number in (0, 1, 2)}) == 6


@pytest.mark.parametrize(
    ("name", "rungs", "has_point"),
    [("tpe", True, True), ("gp", True, True), ("tpe", False, False), ("nsga2", True, False)],
)
def test_with_rungs_a_sampler_that_learns_from_them_proposes_whole_points(
    quick: dict[str, Any], tmp_path: Path, name: str, rungs: bool, has_point: bool
) -> None:
    values = {**quick, "sampler": name} | ({"rungs": {}} if rungs else {})
    sampler = sampler_of(values, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        point = sampler.propose(0)
    assert point is not None
    assert set(point) == (set(sampler.space.searched) if has_point else set())


def test_a_sampler_learns_from_the_highest_rung_with_enough_results() -> None:
    """A parabola whose minimum is at 0.8 on the upper rung, and at 0.1 on the lower one."""
    space = {"x": FloatDistribution(0, 1)}
    results, generator = RungResults(levels=2, objectives=2), random.Random(0)
    for _ in range(60):
        x = generator.random()
        results.add(0, {"x": x}, ((x - 0.1) ** 2, 1.0))
    sampler = optuna.samplers.TPESampler(multivariate=True, seed=0)
    low = [results.propose(sampler, space)["x"] for _ in range(20)]
    assert abs(np.median(low) - 0.1) < 0.2
    for _ in range(5 * ENOUGH):
        x = generator.random()
        results.add(1, {"x": x}, ((x - 0.8) ** 2, 1.0))
    high = [results.propose(sampler, space)["x"] for _ in range(20)]
    assert abs(np.median(high) - 0.8) < 0.2
