"""The sampler `ehvi`, for studies without rungs and with rungs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from ir2search.errors import StudyError
from ir2search.search.ledger import Ledger, RungResult
from ir2search.search.problem import PricedCandidate, Problem
from ir2search.search.pruners.base import Promotion, Pruner
from ir2search.search.samplers.base import Point, Sampler
from ir2search.search.samplers.ehvi.curve_model import gains_per_epoch
from ir2search.search.samplers.ehvi.error_model import expected_gains, farthest
from ir2search.search.samplers.ehvi.pool import CandidatePool

LATEST = 128  # it learns from this many latest trials, and from the front
TIMED = 8  # candidates of a pool to time, if the study uses the latency


def make_ehvi(problem: Problem, ledger: Ledger) -> EhviSampler:
    """The sampler ``ehvi`` of a study."""
    kind = EhviSampler if problem.study.rungs is None else FreezeThawSampler
    return kind(problem, ledger)


class EhviSampler(Sampler):
    """Proposes the candidate that is expected to add most hypervolume at its known costs.

    The first candidates are spread over the costs.
    """

    enough: ClassVar[int] = 3  # fully trained trials before it uses its model

    def __init__(self, problem: Problem, ledger: Ledger) -> None:
        super().__init__(problem, ledger)
        self._pool = CandidatePool(problem)

    def propose(self, number: int) -> Point | None:
        pool = self.pool(number)
        if not pool:
            return {}
        costs = self.costs(pool)
        if len(self.ledger.progress.finished()) < self.enough:
            return pool[farthest(costs, self.costs(self.known()))].parameters
        order = np.argsort(-self.gains(pool, costs), kind="stable")
        if not self.problem.timer.is_used:
            return pool[order[0]].parameters
        return self._best_of_timed(pool, costs, [int(place) for place in order[:TIMED]])

    def learn(self, result: RungResult) -> None:
        self._pool.add_latency(result.number, result.candidate)

    def gains(self, pool: Sequence[PricedCandidate], costs: np.ndarray) -> np.ndarray:
        """The hypervolume that each candidate of a pool is expected to add; costs (pool, costs)."""
        known = self.known()
        return expected_gains(
            [each.candidate for each in pool],
            costs,
            [each.candidate for each in known],
            self.costs(known),
            self.errors()[:, -1],
        )

    def pool(self, number: int) -> list[PricedCandidate]:
        """The candidates that are compared for a proposal; their latencies are estimates."""
        return self._pool.at(number + 1, self.ledger.trial_of)

    def known_trials(self) -> list[int]:
        """The trials to learn from: the front, the latest, and those in training."""
        progress = self.ledger.progress
        latest = progress.measured()[-LATEST:]
        return sorted(progress.front().union(latest, self.ledger.running))

    def known(self) -> list[PricedCandidate]:
        """The candidates of `known_trials`."""
        return [self.ledger.candidates[number] for number in self.known_trials()]

    def errors(self) -> np.ndarray:
        """Errors of `known_trials` at each rung, (trials, levels); NaN where not reached."""
        place, numbers = self.study.objectives.index("accuracy"), self.known_trials()
        errors = np.full((len(numbers), len(self.ledger.progress.levels)), np.nan)
        for row, number in enumerate(numbers):
            for level, values in self.ledger.progress.curve(number).items():
                errors[row, level] = values[place]
        return errors

    def costs(self, candidates: Sequence[PricedCandidate]) -> np.ndarray:
        """The objectives that are costs, (candidates, costs)."""
        rows = [
            [value for name, value in values.items() if name != "accuracy"]
            for values in (self.ledger.values(each.costs, 1.0) for each in candidates)
        ]
        return np.array(rows).reshape(-1, len(self.study.objectives) - 1)

    def _best_of_timed(
        self, pool: list[PricedCandidate], costs: np.ndarray, places: Sequence[int]
    ) -> Point:
        """Time the candidates at some places of a pool, and return the best one's point."""
        timed = []
        for place in places:
            try:
                latency = self.problem.timer.costs(pool[place].candidate)
            except StudyError:  # the runtime cannot run it
                continue
            pool[place] = replace(pool[place], costs={**pool[place].costs, **latency})
            if self.study.over_budget(pool[place].costs) is None:
                timed.append(place)
                costs[place] = self.costs([pool[place]])[0]
        gains = self.gains(pool, costs)
        timed.sort(key=lambda place: -gains[place])
        return pool[timed[0]].parameters if timed else {}


class FreezeThawSampler(EhviSampler):
    """`ehvi` with rungs: it also decides which trials are trained further.

    A model predicts how each learning curve goes on. Of the new candidates and those that wait at
    a rung, the one that is expected to add most hypervolume per epoch is trained to its next rung.
    Then all are compared again (Swersky, Snoek and Adams, "Freeze-thaw Bayesian optimization",
    2014). The front includes results at rungs.
    """

    enough: ClassVar[int] = 1

    def __init__(self, problem: Problem, ledger: Ledger) -> None:
        super().__init__(problem, ledger)
        # `next` and `propose` compare the same candidates one after the other. The last comparison
        # is kept with what it depends on, so that it is computed once.
        self._answered: tuple[tuple[object, ...], np.ndarray] | None = None

    def pruner(self) -> Pruner:
        return self

    def gains(self, pool: Sequence[PricedCandidate], costs: np.ndarray) -> np.ndarray:
        """The hypervolume per epoch that each candidate of a pool is expected to add."""
        return self._rates(pool, costs, waiting=())[len(self.known_trials()) :]

    def next(self, running: Collection[int]) -> Promotion | None:
        """The trial to train further now, or None to begin a new one.

        The first trial is trained to its end at once, as an example of a learning curve; other
        workers begin new trials meanwhile. When all trials have begun, those on the front are
        trained to their end.
        """
        progress = self.ledger.progress
        waiting = [number for number in progress.waiting() if number not in running]
        if len(self.ledger.started) >= self.study.trials:
            front = progress.front()
            waiting = [number for number in waiting if number in front]
            chosen = waiting[0] if waiting else None
        elif not progress.finished():
            is_first_running = bool({*running} & {*progress.measured()})
            chosen = waiting[0] if waiting and not is_first_running else None
        else:
            chosen = self._most_promising(waiting) if waiting else None
        if chosen is None:
            return None
        return Promotion(chosen, max(progress.curve(chosen)) + 1)

    def _most_promising(self, waiting: Collection[int]) -> int | None:
        """The waiting trial with the largest gain per epoch; None if a new candidate has it."""
        pool = self.pool(self.ledger.proposed)
        best = int(np.argmax(self._rates(pool, self.costs(pool), waiting)))
        trials = self.known_trials()
        return trials[best] if best < len(trials) else None

    def _rates(
        self, pool: Sequence[PricedCandidate], costs: np.ndarray, waiting: Collection[int]
    ) -> np.ndarray:
        """Gains per epoch of `known_trials`, then of a pool.

        Args:
            pool: new candidates.
            costs: (pool, costs).
            waiting: trials that may be trained further; the others get minus infinity.
        """
        trials, known, levels = self.known_trials(), self.known(), self.ledger.progress.levels
        total = len(trials) + len(pool)
        errors = np.full((total, len(levels)), np.nan)
        errors[: len(trials)] = self.errors()
        target_levels = np.full(total, -1)
        for row, number in enumerate(trials):
            if number in self.ledger.running:
                target_levels[row] = max(self.ledger.progress.curve(number), default=-1) + 1
        candidates = [each.candidate for each in [*known, *pool]]
        costs = np.vstack([self.costs(known), costs])
        asked = (
            tuple(candidates),  # mostly the same objects, so that comparing them is quick
            *(each.tobytes() for each in (costs, errors, target_levels)),
        )
        if self._answered is None or self._answered[0] != asked:
            found = gains_per_epoch(candidates, costs, errors, levels, target_levels)
            self._answered = asked, found
        rates = self._answered[1].copy()
        rates[[row for row, number in enumerate(trials) if number not in waiting]] = -np.inf
        return rates
