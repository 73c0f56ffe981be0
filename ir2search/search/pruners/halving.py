"""Asynchronous successive halving on non-dominated ranks.

Candidates are trained to a first rung of few epochs and ranked there. The best 1 / factor of all
trials that reached the rung go on to the next one from their checkpoint. The others wait, and go on
as soon as more trials have reached the rung and they belong to the best 1 / factor (Li et al., "A
system for massively parallel hyperparameter tuning", MLSys 2020, algorithm 2). The rank is that of
non-dominated sorting over the objectives at the rung (Deb et al., "NSGA-II", 2002, section III.A).
Of equal ranks the larger contribution to the hypervolume comes first (Beume et al., "SMS-EMOA",
2007, section 3).
"""

from __future__ import annotations

from collections.abc import Collection

import moocore
import numpy as np

from ir2search.search.pruners.base import Promotion
from ir2search.search.pruners.progress import Progress

MARGIN = 1.1  # the hypervolume's reference point, where 1 is the worst value


class SuccessiveHalving:
    """The pruner of studies with rungs; see `Pruner`.

    Args:
        progress: the results of all trials.
        factor: one in this many trials at a rung goes on.
    """

    def __init__(self, progress: Progress, factor: int) -> None:
        self._progress, self._factor = progress, factor
        self._order: list[list[int]] = [[] for _ in progress.levels]

    def next(self, running: Collection[int] = ()) -> Promotion | None:
        """The best trial of the highest rung that may promote one more, or None."""
        for level in reversed(range(len(self._progress.levels) - 1)):
            places = len(self._progress.at(level)) // self._factor
            for number in self.ranked(level)[:places]:
                if self._progress.may_go_on(number, level) and number not in running:
                    return Promotion(number, level + 1)
        return None

    def ranked(self, level: int) -> list[int]:
        """The trials that reached a level, best first; of equal ones the earlier trial first."""
        results = sorted(self._progress.at(level).items())
        if len(results) != len(self._order[level]):
            rows = ranking(np.array([values for _, values in results]))
            self._order[level] = [results[row][0] for row in rows]
        return self._order[level]


def best_waiting(progress: Progress) -> Promotion | None:
    """The best trial of the highest rung, if no trial has reached the end yet.

    With few trials a rung may be too small to promote one. The search would then end without any
    trained network.
    """
    waiting = set(progress.waiting())
    if progress.finished() or not waiting:
        return None
    level = max(level for number in waiting for level in progress.curve(number))
    results = {number: v for number, v in progress.at(level).items() if number in waiting}
    best = ranking(np.array(list(results.values())))[0]
    return Promotion(list(results)[best], level + 1)


def ranking(values: np.ndarray) -> list[int]:
    """Rank points by non-dominated sorting, then by their contribution to the hypervolume.

    For the contributions each objective is scaled by the worst value of all points, and the
    reference point is at `MARGIN`.

    Args:
        values: (rows, objectives), to be minimised.

    Returns:
        Rows, best first; of equal ones the earlier row first.
    """
    if not len(values):
        return []
    ranks = moocore.pareto_rank(values)
    worst = np.abs(values).max(axis=0)
    scaled = values / np.where(worst > 0, worst, 1.0)
    contributions = np.zeros(len(values))
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        contributions[rows] = moocore.hv_contributions(
            scaled[rows], ref=np.full(values.shape[1], MARGIN)
        )
    return [int(row) for row in np.lexsort((np.arange(len(values)), -contributions, ranks))]
