"""A study's costs, and its budget for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ir2search.costs import Cost
from ir2search.space import Candidate
from ir2search.study.objectives import OBJECTIVES, costs_of
from ir2search.study.schema import Study


def study_costs(study: Study, candidate: Candidate, price: Cost) -> dict[str, Any]:
    """All costs by column that a study asks for and that are counted, see `costs_of`."""
    return costs_of(candidate, price, study.costs)


def over_budget(study: Study, costs: Mapping[str, Any]) -> str | None:
    """A sentence on the first of these costs over the budget; None within the budget.

    A latency that is not measured yet is not over it.
    """
    for name, limit in study.budget.items():
        value = costs.get(OBJECTIVES[name].budget_column, 0.0)
        if value > limit:
            return f"over budget: {name} {value:g} > {limit:g}"
    return None
