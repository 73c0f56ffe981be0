"""Optuna's samplers for a search space."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler

from ir2search.seeds import derive_seed
from ir2search.space import Choice, Domain, SearchSpace

POPULATION = 24  # of the genetic samplers: Optuna's 50 is most of what a study can train

GENETIC: tuple[str, ...] = ("nsga2", "nsga3")  # breed from trained trials only

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(population_size=POPULATION, seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(multivariate=True, seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    # the points of these two are enqueued
    "ehvi": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "grid": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


def make_sampler(name: str, study_seed: int, trial: int) -> BaseSampler:
    """The sampler that proposes one trial.

    Samplers keep what they learned in the study's storage, so each trial gets one of its own,
    seeded by its number: an interrupted study proposes what an uninterrupted one does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](derive_seed(study_seed, "trial", trial))


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the searched parameters."""
    return {name: _distribution(domain) for name, domain in space.searched.items()}


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if domain.is_whole:
        step = int(domain.step or 1)
        return IntDistribution(int(domain.low), int(domain.high), step=step, log=domain.log)
    return FloatDistribution(domain.low, domain.high, step=domain.step, log=domain.log)
