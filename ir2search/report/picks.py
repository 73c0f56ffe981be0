"""What to take for which budget."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study

STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # of round budgets, times powers of ten


@dataclass(frozen=True)
class Pick:
    """A budget, and the most accurate member of the front that is within it.

    Attributes:
        limit: the budget, a round number.
        number: the trial's.
    """

    limit: float
    number: int


def budget_name(study: Study) -> str | None:
    """The cost that budgets are of: the study's first; None without one, or without accuracy."""
    if "accuracy" not in study.objectives:
        return None
    return next(name for name in study.objectives if name != "accuracy")


def picks(front: pd.DataFrame, study: Study) -> list[Pick]:
    """The least round budget for each member of the front that is the most accurate within one.

    Args:
        front: as `ir2search.front` gives it.
        study: with its objectives.

    Returns:
        By rising budget. Of members that share a round budget the most accurate is there.
    """
    name = budget_name(study)
    if name is None or front.empty:
        return []
    column = OBJECTIVES[name].column
    found: dict[int, Pick] = {}
    for limit in _round_budgets(front[column].astype(float)):
        within = front[front[column] <= limit]
        best = int(within["number"].iloc[int(within["accuracy"].argmax())])
        found.setdefault(best, Pick(limit, best))
    return list(found.values())


def _round_budgets(costs: pd.Series[float]) -> list[float]:
    """Round numbers from the first that holds the cheapest to the first that holds all."""
    every = (step * 10.0**power for power in range(-4, 16) for step in STEPS)
    budgets = [budget for budget in every if budget >= costs.min()]
    enough = next(at for at, budget in enumerate(budgets) if budget >= costs.max())
    return budgets[: enough + 1]
