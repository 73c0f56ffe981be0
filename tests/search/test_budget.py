from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ir2search as ir
from ir2search.errors import SpaceError
from ir2search.search.budget import check_budget
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.problem import Problem
from ir2search.study.loading import parse_study


def check(values: dict[str, Any], folder: Path) -> None:
    study = parse_study(values, "a.toml")
    space = study.space.with_data((1, 8, 8), 10)
    check_budget(Problem(study, space, LatencyTimer(study, folder)))


def test_a_budget_that_the_cheapest_candidate_keeps_is_accepted(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    study = parse_study(quick, "a.toml")
    space = study.space.with_data((1, 8, 8), 10)
    least = min(ir.cost(candidate).ops for candidate in space.corners())
    check({**quick, "budget": {"ops": least}}, tmp_path)
    with pytest.raises(SpaceError, match=r"a\.toml: \[budget\] ops: .* nearest has [\d.e+]+ OPs"):
        check({**quick, "budget": {"ops": 0.99 * least}}, tmp_path)


def test_the_budget_that_is_exceeded_most_is_named(quick: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"\[budget\] memory: no candidate"):
        check({**quick, "budget": {"ops": 1e9, "memory": 1}}, tmp_path)


def test_a_space_that_names_no_network_is_named(quick: dict[str, Any], tmp_path: Path) -> None:
    quick["space"] = {"depth": 8, "fusion": "compact", "fusion_group_size": [977]}
    with pytest.raises(SpaceError, match=r"\[space\] no combination of its values gives a network"):
        check(quick, tmp_path)


def test_a_latency_needs_a_network_within_the_budget_however_late_it_comes(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ir2search.search.budget.TRIED", 1)
    quick |= {"objectives": ["accuracy", "latency"]}
    quick["space"] = {"depth": 8, "width": 0.25, "fusion": "none", "stem": ["real", "int8"]}
    space = parse_study(quick, "a.toml").space.with_data((1, 8, 8), 10)
    first, *_, last = [ir.cost(candidate).ops for candidate in space.corners()]
    assert last < first
    check({**quick, "budget": {"ops": last}}, tmp_path)


def test_the_cheapest_fusion_width_may_be_inside_its_range(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    """A wider fusion that needs one copy of its maps less costs fewer OPs."""
    quick["space"] = {"fusion_channels": {"low": 31, "high": 40}, "threshold": 0.0}
    space = parse_study(quick, "a.toml").space.with_data((3, 32, 32), 10)
    ops = {point["fusion_channels"]: ir.cost(space.candidate(point)).ops for point in space.grid()}
    assert ops[32] < min(ops[31], ops[40])
    study = parse_study({**quick, "budget": {"ops": ops[32]}}, "a.toml")
    check_budget(Problem(study, space, LatencyTimer(study, tmp_path)))
