"""The best network for each budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ir2search import text
from ir2search.plots.pareto import ROUND
from ir2search.report.data import ReportData
from ir2search.runs import json_rows
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study


def best_by_budget(front: pd.DataFrame, study: Study) -> dict[int, float]:
    """The most accurate network for each round budget of the study's first cost.

    A network is listed once, with the smallest budget for which it is the most accurate one.

    Returns:
        Budgets by number of the trial, in rising order; empty for a study without the objective
        accuracy.
    """
    if "accuracy" not in study.objectives or front.empty:
        return {}
    column = OBJECTIVES[study.costs[0]].column
    found: dict[int, float] = {}
    for limit in round_budgets(front[column].astype(float)):
        within = front[front[column] <= limit]
        best = int(within["number"].iloc[int(within["accuracy"].argmax())])
        found.setdefault(best, limit)
    return found


def budget_rows(front: pd.DataFrame, study: Study) -> list[dict[str, str]]:
    """`best_by_budget` as text.

    Args:
        front: as `described_front` returns it.
        study: the run's study.

    Returns:
        Rows with ``budget``, ``number``, ``accuracy``, ``test``, ``cost``, and ``alike``, the
        members that may be as accurate.
    """
    rows = {row["number"]: row for row in json_rows(front)}
    found = []
    for number, limit in best_by_budget(front, study).items():
        row, objective = rows[number], OBJECTIVES[study.costs[0]]
        found.append(
            {
                "budget": objective.with_unit(limit),
                "number": str(number),
                "accuracy": accuracy_cell(row, "accuracy"),
                "test": accuracy_cell(row, "test_accuracy"),
                "cost": objective.with_unit(row[objective.column]),
                "alike": text.names(row["alike"]),
            }
        )
    return found


def accuracy_cell(row: Mapping[str, Any], name: str) -> str:
    """An accuracy of a front member with its interval, "97.6% (95.1 to 98.8%)".

    With further seeds their mean and standard deviation follow. ``name`` is ``"accuracy"`` or
    ``"test_accuracy"``, ``row`` a row of `described_front`.
    """
    seeds = row["seed_accuracies" if name == "accuracy" else "seed_test_accuracies"]
    interval = text.interval(row[f"{name}_low"], row[f"{name}_high"])
    own = f"{text.percent(row[name])} ({interval})" if interval else text.percent(row[name])
    return f"{own}, {text.spread(seeds)} over seeds" if len(seeds) > 1 else own


def images_text(front: pd.DataFrame) -> dict[str, str]:
    """Number of images by split, ``validation`` and ``test``, as " (287 images)"; empty if unknown.

    ``front`` is as `described_front` returns it.
    """
    found = {}
    for split in ("validation", "test"):
        counts = front[f"{split}_images"].dropna().unique().tolist()
        found[split] = f" ({counts[0]:,} images)" if counts else ""
    return found


def shared_weights_text(data: ReportData) -> str:
    """What the accuracies of a study with a supernet mean; empty without one."""
    supernet, kinds = data.study.supernet, data.kinds
    if supernet is None:
        return ""
    parts = [
        f"An inherited accuracy is that of a network with its part of weights that all candidates "
        f"share, which were trained for {text.counted(supernet.epochs, 'epoch')}; the network was "
        "not trained."
    ]
    if "fine-tuned" in kinds:
        parts += ["A fine-tuned network was trained further from these weights."]
    if "trained" in kinds:
        parts += ["A trained network was trained by itself, from scratch, after the search."]
    if len(kinds) > 1:
        parts += ["The front was chosen by inherited accuracy; each kind is compared with itself."]
    return " ".join(parts)


def round_budgets(costs: pd.Series[float]) -> list[float]:
    """Round budgets: from the first that allows one network to the first that allows all."""
    budgets = [budget for budget in ROUND if budget >= costs.min()]
    enough = next(at for at, budget in enumerate(budgets) if budget >= costs.max())
    return budgets[: enough + 1]
