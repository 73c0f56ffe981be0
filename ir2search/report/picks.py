"""The best network for each budget."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ir2search import text
from ir2search.runs import json_rows
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study

STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # round budgets are these, times powers of ten


def best_by_budget(front: pd.DataFrame, study: Study) -> dict[int, float]:
    """The most accurate network for each round budget of the study's first cost.

    A network is listed once, with the smallest budget for which it is the most accurate one.

    Returns:
        Budgets by number of the trial, in rising order; empty for a study without the objective
        accuracy.
    """
    if "accuracy" not in study.objectives or front.empty:
        return {}
    column = OBJECTIVES[_cost(study)].column
    found: dict[int, float] = {}
    for limit in _round_budgets(front[column].astype(float)):
        within = front[front[column] <= limit]
        best = int(within["number"].iloc[int(within["accuracy"].argmax())])
        found.setdefault(best, limit)
    return found


def budget_rows(front: pd.DataFrame, study: Study) -> list[dict[str, str]]:
    """`best_by_budget` as text: ``budget``, ``number``, ``accuracy``, ``test`` and ``cost``."""
    rows = {row["number"]: row for row in json_rows(front)}
    found = []
    for number, limit in best_by_budget(front, study).items():
        row, objective = rows[number], OBJECTIVES[_cost(study)]
        found.append(
            {
                "budget": objective.with_unit(limit),
                "number": str(number),
                "accuracy": accuracy_text(row["accuracy"], row["seed_accuracies"]),
                "test": accuracy_text(row["test_accuracy"], row["seed_test_accuracies"]),
                "cost": objective.with_unit(row[objective.column]),
            }
        )
    return found


def accuracy_text(accuracy: float | None, over_seeds: Sequence[float]) -> str:
    """A trial's accuracy as text; mean and standard deviation if it has several seeds."""
    return text.spread(over_seeds) if len(over_seeds) > 1 else text.percent(accuracy)


def _cost(study: Study) -> str:
    return next(name for name in study.objectives if name != "accuracy")


def _round_budgets(costs: pd.Series[float]) -> list[float]:
    """Round budgets: from the first that allows one network to the first that allows all."""
    every = (step * 10.0**power for power in range(-4, 16) for step in STEPS)
    budgets = [budget for budget in every if budget >= costs.min()]
    enough = next(at for at, budget in enumerate(budgets) if budget >= costs.max())
    return budgets[: enough + 1]
