"""What a sampler is: it proposes candidates, and learns from their results."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler

from ir2search.errors import CandidateError
from ir2search.search.ledger import Ledger, RungResult
from ir2search.search.problem import Problem
from ir2search.search.pruners.base import Pruner
from ir2search.search.pruners.halving import SuccessiveHalving
from ir2search.seeds import derive_seed
from ir2search.space import Choice, Domain, SearchSpace

DRAWS = 2000  # random points to search for a new one

Point = Mapping[str, Any]  # values of searched parameters, by name


class Sampler(ABC):
    """Proposes candidates, and learns from their results. Each session makes a new sampler.

    A resumed study must propose the same candidates as a study that was never interrupted. So the
    state of a sampler depends only on the results, and its random numbers come from `seed`.

    Args:
        problem: the study, its space, and what candidates cost.
        ledger: what is known of the study's trials; a sampler does not change it.
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
            ends the search: nothing is left to try.
        """

    def learn(self, result: RungResult) -> None:  # noqa: B027
        """Learn what a trial reached at a rung; without rungs, at its end."""

    def resume(self, results: Sequence[RungResult]) -> None:
        """Learn what trials of earlier sessions, or of other drivers, reached."""
        for result in results:
            self.learn(result)

    def optuna_sampler(self, number: int) -> BaseSampler:
        """Optuna's sampler for the parameters that proposal ``number`` leaves out."""
        return optuna.samplers.RandomSampler(seed=self.seed(number))

    def pruner(self) -> Pruner:
        """The pruner, which decides at rungs which trials are trained further."""
        rungs = self.study.rungs
        return SuccessiveHalving(self.ledger.progress, 1 if rungs is None else rungs.factor)

    def seed(self, number: int) -> int:
        """The seed of a proposal; it follows from the study's seed."""
        return derive_seed(self.study.seed, "trial", number)

    def new_points(self, number: int) -> Iterator[Point]:
        """Random points of new candidates that are within the budget as far as is known.

        The same ``number`` of a proposal gives the same points.
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


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the searched parameters, by name."""
    return {name: _distribution(domain) for name, domain in space.searched.items()}


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if domain.is_whole:
        step = int(domain.step or 1)
        return IntDistribution(int(domain.low), int(domain.high), step=step, log=domain.log)
    return FloatDistribution(domain.low, domain.high, step=domain.step, log=domain.log)
