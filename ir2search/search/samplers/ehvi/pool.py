"""The new candidates that `ehvi` compares before it proposes one of them."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from ir2search.errors import CandidateError, StudyError
from ir2search.search.problem import PricedCandidate, Problem
from ir2search.seeds import derive_seed
from ir2search.study.objectives import LATENCY, MEDIAN, OBJECTIVES

POOL = 512  # points to compare; a smaller space is compared whole
FRESH = 64  # points to draw for each proposal: counting costs takes longer than comparing
ENOUGH_TIMES = 3  # a power law is fitted to at least this many measured latencies


class CandidatePool:
    """New candidates that are within the budget, with their costs.

    The pool of a small space has all points. The pool of a large space has the points that were
    drawn for the latest proposals, so that each proposal counts the costs of only a few points.

    Args:
        problem: the study and its space.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._drawn: dict[int, dict[str, PricedCandidate]] = {}  # by proposal, by candidate id
        self._latencies: dict[int, tuple[float, float]] = {}  # by trial: OPs and milliseconds

    def add_latency(self, number: int, candidate: PricedCandidate) -> None:
        """Learn the latency of a trial's candidate, if it was measured."""
        if MEDIAN in candidate.costs:
            self._latencies[number] = candidate.costs["ops"], candidate.costs[MEDIAN]

    def at(self, proposal: int, known: Collection[str]) -> list[PricedCandidate]:
        """The pool of a proposal. Latencies in it are estimates.

        Args:
            proposal: its number, from 1.
            known: ids of candidates to leave out.
        """
        is_small = self._problem.space.size <= POOL
        first = proposal if is_small else max(1, proposal - POOL // FRESH + 1)
        wanted = POOL if is_small else FRESH
        before = self._drawn
        self._drawn = {
            number: before[number] if number in before else self._draw(number, wanted)
            for number in range(first, proposal + 1)
        }
        drawn = {name: each for some in self._drawn.values() for name, each in some.items()}
        new = [each for name, each in drawn.items() if name not in known]
        if self._problem.study.is_timed:
            new = self._with_estimates(new)
        return [each for each in new if self._problem.study.over_budget(each.costs) is None]

    def _draw(self, proposal: int, wanted: int) -> dict[str, PricedCandidate]:
        """Random candidates that are within the budget by their counted costs, by id."""
        generator = random.Random(derive_seed(self._problem.study.seed, "pool", proposal))
        found: dict[str, PricedCandidate] = {}
        for point in self._problem.space.points(generator, POOL):
            try:
                priced = self._problem.priced(point)
            except (CandidateError, MemoryError, StudyError):
                continue
            if self._problem.study.over_budget(priced.costs) is None:
                found.setdefault(priced.candidate.id, priced)
            if len(found) == wanted:
                break
        return found

    def _with_estimates(self, pool: Sequence[PricedCandidate]) -> list[PricedCandidate]:
        """Add latencies that are estimated from OPs.

        Before a latency is measured, the estimates compare candidates but do not check the budget.
        """
        known = sorted(self._latencies.values())
        ops = np.array([each.costs["ops"] for each in pool])
        times = expected_times([row[0] for row in known], [row[1] for row in known], ops)
        latency = OBJECTIVES[LATENCY]
        columns = (latency.column, latency.budget_column) if known else (latency.column,)
        return [
            replace(each, costs={**each.costs, **dict.fromkeys(columns, float(time))})
            for each, time in zip(pool, times, strict=True)
        ]


def expected_times(
    known_ops: Sequence[float], known_times: Sequence[float], ops: np.ndarray
) -> np.ndarray:
    """Estimate latencies from OPs, by the power law that fits the measured ones best.

    With fewer than `ENOUGH_TIMES` measurements latencies are proportional to OPs. With none, the
    OPs are returned.

    Args:
        known_ops: of measured candidates.
        known_times: their latencies, in milliseconds.
        ops: (candidates), of the candidates to estimate.

    Returns:
        (candidates), latencies in milliseconds.
    """
    if not len(known_times):
        return ops
    x, y = np.log(known_ops), np.log(known_times)
    is_line = np.ptp(x) > 0 and len(x) >= ENOUGH_TIMES
    slope = max(float(np.polyfit(x, y, 1)[0]) if is_line else 1.0, 0.0)
    return np.exp(np.mean(y - slope * x) + slope * np.log(ops))
