"""Which trial to take for which budget."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ir2search.search.objectives import OBJECTIVES, CostName

ROWS = 8  # of an answer that one takes in at a glance


def picks(trials: pd.DataFrame, costs: Sequence[CostName], rows: int = ROWS) -> pd.DataFrame:
    """For round budgets of each cost, the most accurate trial that stays within.

    Between two budgets of the same cost the answer changes once: each is the roundest number at
    which its trial is the best that can be had. Where there are more of them than ``rows``, those
    are left out that bring least accuracy.

    Args:
        trials: as `ir2search.trials` gives them.
        costs: of which there is a budget each.
        rows: how many budgets of one cost.

    Returns:
        ``cost``, ``budget``, ``number``, smallest budget first.
    """
    trained = trials[trials["state"] == "trained"]
    found = [
        (cost, round_within(low, high), number)
        for cost in costs
        for low, high, number in _steps(trained, OBJECTIVES[cost].column, rows)
    ]
    return pd.DataFrame(found, columns=["cost", "budget", "number"])


def round_within(low: float, high: float) -> float:
    """The number with the fewest digits that is at least ``low`` and below ``high``.

    Of several the smallest. Both are positive, and ``high`` may be infinite.
    """
    exponent = math.floor(math.log10(low))
    for digits in range(17):
        step = 10.0 ** (exponent - digits)
        number = float(f"{math.ceil(low / step * (1 - 1e-12)) * step:.{digits + 2}g}")
        if low <= number < high:
            return number
    return low


def _steps(trained: pd.DataFrame, column: str, rows: int) -> list[tuple[float, float, int]]:
    """Each trial that is best for some budget, with the least such budget and where it ends."""
    ordered = trained.sort_values([column, "accuracy"], ascending=[True, False])
    best = ordered[ordered["accuracy"] > ordered["accuracy"].cummax().shift(fill_value=-1.0)]
    best = best[best[column] > 0]
    kept = _most_telling(best["accuracy"].to_numpy(dtype=float), rows)
    costs = best[column].to_numpy(dtype=float)[kept]
    ends = [*costs[1:], math.inf][: len(costs)]
    return [
        (float(low), float(high), int(number))
        for low, high, number in zip(costs, ends, best["number"].to_numpy()[kept], strict=True)
    ]


def _most_telling(accuracy: np.ndarray, rows: int) -> list[int]:
    """Positions of a rising series that keep its ends and its greatest rises."""
    kept = list(range(len(accuracy)))
    while len(kept) > max(rows, 2):
        gains = np.diff(accuracy[kept])[:-1]  # of each but the first over the one before it
        del kept[1 + int(gains.argmin())]
    return kept
