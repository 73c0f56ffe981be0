"""Early stopping over several objectives: asynchronous successive halving on non-dominated ranks.

Candidates are trained to a first rung of few epochs. There they are ranked, and the best
1 / factor of all that reached the rung go on from their checkpoint to the next; the others wait,
and go on as soon as a growing rung has room for them (Li et al., "A system for massively parallel
hyperparameter tuning", MLSys 2020, algorithm 2). A rank is that of non-dominated sorting over the
objectives at the rung (Deb et al., "NSGA-II", 2002, section III.A), and among equals the larger
contribution to the hypervolume comes first (Beume et al., "SMS-EMOA", 2007, section 3).

The sampler ``ehvi`` decides in another way who goes on, see `freeze_thaw`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import moocore
import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

ENOUGH = 10  # results at a rung from which a sampler can learn
MARGIN = 1.1  # of a hypervolume's reference point beyond the worst values


class Ladder:
    """Who reached which rung, and who goes on.

    Args:
        levels: epochs of each rung.
        factor: how many candidates it takes at a rung for one of them to go on.
    """

    def __init__(self, levels: tuple[int, ...], factor: int) -> None:
        self.levels, self.factor = levels, factor
        self._results: list[dict[int, tuple[float, ...]]] = [{} for _ in levels]
        self._order: list[list[int] | None] = [None for _ in levels]
        self._ended: set[int] = set()

    def record(self, number: int, level: int, values: tuple[float, ...]) -> None:
        """A trial reached a level; ``values`` are its objectives there, to be made small."""
        self._results[level][number] = values
        self._order[level] = None

    def end(self, number: int) -> None:
        """A trial goes no further; its results still count."""
        self._ended.add(number)

    def has(self, number: int, level: int) -> bool:
        """Whether a trial reached a level."""
        return number in self._results[level]

    def next(self, busy: Collection[int] = ()) -> tuple[int, int] | None:
        """The trial to go on with and the level it goes to, highest rung first; None for no one.

        Those that are ``busy`` are on their way already.
        """
        for level in reversed(range(len(self.levels) - 1)):
            places = len(self._results[level]) // self.factor
            for number in self.ranked(level)[:places]:
                gone = number in self._results[level + 1] or number in self._ended
                if not gone and number not in busy:
                    return number, level + 1
        return None

    def curve(self, number: int) -> dict[int, tuple[float, ...]]:
        """A trial's values by the levels that it reached."""
        return {
            level: results[number]
            for level, results in enumerate(self._results)
            if number in results
        }

    def front(self) -> set[int]:
        """Trials whose values, at whichever level, no others better."""
        found = [(number, v) for results in self._results for number, v in results.items()]
        if not found:
            return set()
        kept = moocore.is_nondominated(np.array([values for _, values in found]))
        return {number for (number, _), keep in zip(found, kept, strict=True) if keep}

    def begun(self) -> list[int]:
        """Trials that reached a rung."""
        return sorted(set().union(*self._results))

    def waiting(self) -> list[int]:
        """Trials that may still go on, by number."""
        reached = set().union(*self._results[:-1])
        return sorted(reached - self._results[-1].keys() - self._ended)

    def finished(self) -> list[tuple[int, tuple[float, ...]]]:
        """Trials that reached the last level, with their values there."""
        return list(self._results[-1].items())

    def ranked(self, level: int) -> list[int]:
        """The trials that reached a level, best first; the earlier of equals."""
        order = self._order[level]
        if order is None:
            results = sorted(self._results[level].items())
            order = [results[row][0] for row in ranking(np.array([v for _, v in results]))]
            self._order[level] = order
        return order


def ranking(values: np.ndarray) -> list[int]:
    """Rows of ``values``, (rows, objectives) to be made small, best first.

    By non-dominated rank, then by hypervolume contribution among those of the same rank, with
    objectives scaled by the worst value of all and a reference point a tenth beyond it.
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


_Result = tuple[dict[str, Any], tuple[float, ...]]  # parameters and values


class Observations:
    """What a sampler learns from: results at one rung, as like can only be compared with like.

    It is the highest rung that `ENOUGH` trials reached (Falkner et al., "BOHB", ICML 2018, section
    3.2). A stopped trial therefore teaches by what it gave where it was stopped, beside what all
    others gave after as many epochs.

    Args:
        levels: how many rungs there are.
        objectives: how many objectives, all to be made small.
    """

    def __init__(self, levels: int, objectives: int) -> None:
        self._objectives = objectives
        self._results: list[list[_Result]] = [[] for _ in range(levels)]
        self._told = [0] * levels  # how many of them a level's study has
        self._asked = [0] * levels  # how many trials it has beside them
        self._studies = [self._study() for _ in range(levels)]

    def add(self, level: int, parameters: Mapping[str, Any], values: tuple[float, ...]) -> None:
        """A trial's result at a level."""
        self._results[level].append((dict(parameters), values))

    def propose(
        self, sampler: BaseSampler, distributions: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Parameters for a new trial."""
        level = self._highest()
        results = self._results[level]
        if self._asked[level] > len(results):
            # what was asked for stays in a study, and makes it slow
            self._studies[level], self._told[level], self._asked[level] = self._study(), 0, 0
        study = self._studies[level]
        for parameters, values in results[self._told[level] :]:
            study.add_trial(
                optuna.trial.create_trial(
                    params=parameters, distributions=dict(distributions), values=list(values)
                )
            )
        self._told[level] = len(results)
        self._asked[level] += 1
        study.sampler = sampler
        trial = study.ask(dict(distributions))
        study.tell(trial, state=TrialState.FAIL)  # its results come by `add`
        return trial.params

    def _study(self) -> optuna.Study:
        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(), directions=["minimize"] * self._objectives
        )

    def _highest(self) -> int:
        """The highest rung with enough results; else the first."""
        counts = map(len, self._results)
        return max((level for level, count in enumerate(counts) if count >= ENOUGH), default=0)
