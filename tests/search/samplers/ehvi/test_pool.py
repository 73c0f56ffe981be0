from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ir2search as ir
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.problem import Problem
from ir2search.search.samplers.ehvi.pool import FRESH, POOL, CandidatePool, expected_times
from ir2search.study.loading import parse_study

WIDE = {"width": {"low": 0.125, "high": 1.0}, "threshold": {"low": 0.0, "high": 1.0}, "depth": 8}


def pool_of(values: dict[str, Any], folder: Path) -> CandidatePool:
    study = parse_study(values, "a.toml")
    space = study.space.with_data((1, 8, 8), 10)
    return CandidatePool(Problem(study, space, LatencyTimer(study, folder)))


def test_a_small_space_is_compared_whole(quick: dict[str, Any], tmp_path: Path) -> None:
    pool = pool_of(quick, tmp_path)
    everything = pool.at(1, known=())
    ids = [each.candidate.id for each in everything]
    assert len(ids) == len(set(ids)) > 10
    assert {each.candidate.id for each in pool.at(2, known=ids[:3])} == set(ids[3:])


def test_each_proposal_counts_few_networks_of_a_large_space(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting takes longer than comparing; what was counted is compared again."""
    counted: list[str] = []

    def watched(candidate: ir.Candidate) -> ir.Cost:
        counted.append(candidate.id)
        return ir.cost(candidate)

    monkeypatch.setattr("ir2search.search.problem.cost", watched)
    pool = pool_of({**quick, "space": WIDE}, tmp_path)
    for proposal in range(1, POOL // FRESH + 3):
        compared = pool.at(proposal, known=())
        assert len(counted) <= FRESH * proposal
    assert POOL // 2 < len(compared) <= POOL
    again = pool_of({**quick, "space": WIDE}, tmp_path).at(POOL // FRESH + 2, known=())
    assert [each.parameters for each in again] == [each.parameters for each in compared]


def test_a_tight_budget_does_not_make_the_pool_smaller(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    free = pool_of({**quick, "space": WIDE}, tmp_path).at(1, known=())
    limit = sorted(each.costs["ops"] for each in free)[len(free) // 4]
    tight = pool_of({**quick, "space": WIDE, "budget": {"ops": limit}}, tmp_path).at(1, known=())
    assert len(tight) == FRESH
    assert max(each.costs["ops"] for each in tight) <= limit


def test_latencies_follow_a_power_law_of_operations() -> None:
    ops = np.array([1e4, 1e5, 1e6])
    assert expected_times([], [], ops) == pytest.approx(ops)
    assert expected_times([1e5], [0.2], ops) == pytest.approx([0.02, 0.2, 2.0])
    known = [2e4, 3e4, 7e5]
    law = expected_times(known, [0.1 * (each / 1e5) ** 0.4 for each in known], ops)
    assert law == pytest.approx(0.1 * (ops / 1e5) ** 0.4)
    assert expected_times([1e5] * 3, [0.1, 0.2, 0.4], ops) == pytest.approx([0.02, 0.2, 2.0])
