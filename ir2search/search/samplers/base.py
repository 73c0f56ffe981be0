"""What a sampler is: it proposes candidates, and learns from their results."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from ir2search.errors import CandidateError
from ir2search.search.ledger import Ledger, RungResult
from ir2search.search.problem import Problem
from ir2search.search.pruners.base import Pruner
from ir2search.search.pruners.halving import SuccessiveHalving
from ir2search.search.samplers.distributions import distributions
from ir2search.seeds import derive_seed

DRAWS = 2000  # random points among which a new one is sought

Point = Mapping[str, Any]  # values of searched parameters, by name


class Sampler(ABC):
    """Proposes candidates, and learns from their results. One object lives as long as a session.

    What it keeps must follow from the results, so that a resumed study proposes what a study that
    was never interrupted does. Random numbers come from `seed`, for the same reason.

    Args:
        problem: the study, its space, and what candidates cost.
        ledger: what is known of the study's trials; to be read only.
    """

    def __init__(self, problem: Problem, ledger: Ledger) -> None:
        self.problem, self.ledger = problem, ledger
        self.study, self.space = problem.study, problem.space

    @abstractmethod
    def propose(self, number: int) -> Point | None:
        """The next point of the space to try.

        Args:
            number: of the proposal, from 0.

        Returns:
            Values of searched parameters; `optuna_sampler` draws those that are left out. None
            where nothing is left to try, which ends the search.
        """

    def learn(self, result: RungResult) -> None:  # noqa: B027
        """Learn what a trial reached at a rung; without rungs, at its end."""

    def resume(self, results: Sequence[RungResult]) -> None:
        """Learn what trials of earlier sessions, or of other drivers, reached."""
        for result in results:
            self.learn(result)

    def optuna_sampler(self, number: int) -> BaseSampler:
        """The sampler of Optuna that draws the parameters which a proposal leaves out.

        Args:
            number: of the proposal, from 0.
        """
        return optuna.samplers.RandomSampler(seed=self.seed(number))

    def pruner(self) -> Pruner:
        """Decides which trials are trained further, where the study has rungs."""
        rungs = self.study.rungs
        return SuccessiveHalving(self.ledger.progress, 1 if rungs is None else rungs.factor)

    def seed(self, number: int) -> int:
        """The seed of a proposal, derived from the study's seed.

        Each proposal has a seed of its own, so that a resumed study draws what a study that was
        never interrupted does.
        """
        return derive_seed(self.study.seed, "trial", number)

    def new_points(self, number: int) -> Iterator[Point]:
        """Random points whose candidates are new, and within the budget as far as is known.

        Args:
            number: of the proposal, from 0; the same number gives the same order.
        """
        generator = random.Random(derive_seed(self.study.seed, "enqueue", number))
        for point in self.space.points(generator, DRAWS):
            try:
                candidate = self.space.candidate(point)
            except CandidateError:
                continue
            if candidate.id not in self.ledger.trial_of and self.problem.is_affordable(candidate):
                yield point

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions of the searched parameters, by name."""
        return distributions(self.space)
