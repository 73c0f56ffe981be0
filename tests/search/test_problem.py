from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.problem import Problem
from ir2search.study.loading import parse_study

SPACE = {"depth": 8, "width": [0.125, 0.25], "threshold": 0.0, "fusion": "none"}


def problem_of(values: dict[str, Any], folder: Path) -> Problem:
    study = parse_study({**values, "space": SPACE}, "a.toml")
    return Problem(study, study.space.with_data((1, 8, 8), 10), LatencyTimer(study, folder))


def test_a_point_has_the_costs_of_its_candidate(quick: dict[str, Any], tmp_path: Path) -> None:
    priced = problem_of(quick, tmp_path).priced({"width": 0.25})
    assert priced.candidate.width == 0.25
    assert priced.costs["ops"] == ir.cost(priced.candidate).ops
    assert "latency_ms" not in priced.costs


def test_a_candidate_above_the_budget_is_not_affordable(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    free = problem_of(quick, tmp_path)
    small, large = (free.priced({"width": width}) for width in (0.125, 0.25))
    limit = (small.costs["ops"] + large.costs["ops"]) / 2
    problem = problem_of({**quick, "budget": {"ops": limit}}, tmp_path)
    assert problem.is_affordable(small.candidate)
    assert not problem.is_affordable(large.candidate)
    assert free.is_affordable(large.candidate)
    assert problem.study.over_budget(small.costs) is None
    excess = problem.study.over_budget(large.costs)
    assert excess is not None
    assert excess.startswith("over budget: ops")


def test_a_candidate_that_cannot_be_counted_fails_as_a_trial_and_is_not_left_out(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(candidate: ir.Candidate) -> ir.Cost:
        raise MemoryError

    problem = problem_of({**quick, "budget": {"ops": 1e9}}, tmp_path)
    monkeypatch.setattr("ir2search.search.problem.cost", too_large)
    assert problem.is_affordable(problem.space.candidate({"width": 0.25}))
