"""The costs that a study asks for, and its budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ir2search.costs import Cost
from ir2search.space import Candidate
from ir2search.study.objectives import OBJECTIVES, costs_of
from ir2search.study.schema import Study


def study_costs(study: Study, candidate: Candidate, price: Cost) -> dict[str, Any]:
    """All counted costs of a candidate, and the registered costs that the study names.

    Args:
        study: names the costs.
        candidate: a network.
        price: its costs as `ir2search.costs.cost` counts them.

    Returns:
        Costs by column of the table of trials. The latency is not among them: it is measured.

    Raises:
        StudyError: a registered cost function failed, or did not return a finite number.
    """
    return costs_of(candidate, price, study.costs)


def over_budget(study: Study, costs: Mapping[str, Any]) -> str | None:
    """Why these costs exceed the study's budget, or None where they do not.

    Args:
        study: has the budget.
        costs: by column; a cost that is missing, such as a latency not yet measured, is ignored.
    """
    for name, limit in study.budget.items():
        value = costs.get(OBJECTIVES[name].budget_column, 0.0)
        if value > limit:
            return f"over budget: {name} {value:g} > {limit:g}"
    return None
