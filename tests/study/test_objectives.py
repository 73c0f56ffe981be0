from __future__ import annotations

import pytest

import ir2search as ir
from ir2search.errors import StudyError
from ir2search.study.objectives import (
    HIGH,
    LOW,
    MEDIAN,
    OBJECTIVES,
    cost_names,
    costs_of,
    further_columns,
)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("accuracy", 0.979, "97.9%"),
        ("ops", 163_000, "163 k OPs"),
        ("memory", 60_800, "60.8 kB"),
        ("latency", 0.773, "0.773 ms"),
    ],
)
def test_a_value_is_written_with_its_unit(name: str, value: float, expected: str) -> None:
    assert OBJECTIVES[name].with_unit(value) == expected


def test_a_budget_on_the_latency_limits_the_time_before_rounding() -> None:
    assert OBJECTIVES["latency"].budget_column == MEDIAN
    assert OBJECTIVES["ops"].budget_column == "ops"


def test_costs_are_known_by_column() -> None:
    candidate = ir.Candidate(depth=8)
    price = ir.cost(candidate)
    costs = costs_of(candidate, price, ["accuracy", "ops", "latency"])
    assert costs["ops"] == price.ops
    assert costs["memory_bytes"] == price.memory_bytes
    assert "latency_ms" not in costs
    assert "accuracy" not in cost_names()


def test_only_the_latency_and_registered_costs_add_columns() -> None:
    assert further_columns(["accuracy", "ops"]) == {}
    assert list(further_columns(["latency"])) == ["latency_ms", MEDIAN, LOW, HIGH]


@pytest.mark.parametrize("name", ["Wires", "two words", "2d"])
def test_the_name_of_a_cost_is_a_word_in_lower_case(name: str) -> None:
    with pytest.raises(StudyError, match="must be a word in lower case"):
        ir.register_objective(name)
