"""Optuna's samplers, also for studies with rungs."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from ir2search.search.ledger import Ledger, RungResult
from ir2search.search.problem import Problem
from ir2search.search.samplers.base import Point, Sampler

POPULATION = 24  # of the genetic samplers; Optuna's default, 50, is too large for most studies
ENOUGH = 10  # a sampler learns from a rung with at least this many results


class OptunaSampler(Sampler):
    """A sampler of Optuna that learns from the trials in the study's storage.

    It keeps nothing itself. Each proposal can therefore use a new one, with its own seed.
    """

    @abstractmethod
    def make(self, seed: int) -> BaseSampler:
        """Optuna's sampler with this seed."""

    def propose(self, number: int) -> Point | None:
        return {}

    def optuna_sampler(self, number: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self.make(self.seed(number))


class RungSampler(OptunaSampler):
    """A sampler of Optuna. In a study with rungs it learns from the results at one rung."""

    def __init__(self, problem: Problem, ledger: Ledger) -> None:
        super().__init__(problem, ledger)
        levels, objectives = len(ledger.progress.levels), len(problem.study.objectives)
        self._results = RungResults(levels, objectives) if problem.study.rungs else None

    def propose(self, number: int) -> Point | None:
        if self._results is None:
            return {}
        return self._results.propose(self.optuna_sampler(number), self.distributions)

    def learn(self, result: RungResult) -> None:
        if self._results is not None:
            self._results.add(result.level, result.candidate.parameters, result.values)


class TpeSampler(RungSampler):
    """The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), multivariate."""

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.TPESampler(multivariate=True, seed=seed)


class GpSampler(RungSampler):
    """Bayesian optimisation with a Gaussian process over all objectives."""

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.GPSampler(seed=seed)


class RandomSampler(OptunaSampler):
    """Independent random points."""

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.RandomSampler(seed=seed)


class Nsga2Sampler(OptunaSampler):
    """NSGA-II (Deb et al., 2002). Its parents are trials that were trained to the end."""

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)


class Nsga3Sampler(OptunaSampler):
    """NSGA-III (Deb and Jain, 2014). Its parents are trials that were trained to the end."""

    def make(self, seed: int) -> BaseSampler:
        return optuna.samplers.NSGAIIISampler(population_size=POPULATION, seed=seed)


_Result = tuple[dict[str, Any], tuple[float, ...]]  # parameters and values


class RungResults:
    """The results at each rung, in an Optuna study from which a sampler can learn.

    Only results after the same number of epochs can be compared. The sampler therefore learns from
    one rung: the highest that `ENOUGH` trials reached (Falkner, Klein and Hutter, "BOHB", ICML
    2018, section 3.2). A trial that went further counts with its result at that rung.

    Args:
        levels: number of rungs.
        objectives: number of objectives, all to be minimised.
    """

    def __init__(self, levels: int, objectives: int) -> None:
        self._objectives = objectives
        self._results: list[list[_Result]] = [[] for _ in range(levels)]
        self._told = [0] * levels  # number of results in a level's study
        self._asked = [0] * levels  # number of its trials without a result
        self._studies = [self._study() for _ in range(levels)]

    def add(self, level: int, parameters: Mapping[str, Any], values: tuple[float, ...]) -> None:
        """Add a trial's result: its parameters by name, its objectives to be minimised."""
        self._results[level].append((dict(parameters), values))

    def propose(
        self, sampler: BaseSampler, distributions: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the parameters of a new trial by a sampler, from distributions by name."""
        level = self._highest()
        results = self._results[level]
        if self._asked[level] > len(results):
            # trials without a result stay in a study and make it slow: begin a new study
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
        study.tell(trial, state=TrialState.FAIL)  # its result comes by `add`
        return trial.params

    def _study(self) -> optuna.Study:
        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(), directions=["minimize"] * self._objectives
        )

    def _highest(self) -> int:
        """The highest level with enough results, or 0."""
        counts = map(len, self._results)
        return max((level for level, count in enumerate(counts) if count >= ENOUGH), default=0)
