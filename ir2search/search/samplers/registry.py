"""Samplers by name, those of this package and those that users register."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from ir2search.errors import StudyError
from ir2search.extensions import Registry, user_code
from ir2search.search.ledger import Ledger, RungResult
from ir2search.search.problem import Problem
from ir2search.search.pruners.base import Pruner
from ir2search.search.samplers.base import Point, Sampler
from ir2search.search.samplers.ehvi.sampler import make_ehvi
from ir2search.search.samplers.grid import GridSampler
from ir2search.search.samplers.optuna_based import (
    GpSampler,
    Nsga2Sampler,
    Nsga3Sampler,
    RandomSampler,
    TpeSampler,
)
from ir2search.study.samplers import SAMPLERS, SamplerNeeds

SamplerFactory = Callable[[Problem, Ledger], Sampler]
Factory = TypeVar("Factory", bound=SamplerFactory)

FACTORIES: Registry[SamplerFactory] = Registry(
    "sampler",
    {
        "ehvi": make_ehvi,
        "nsga2": Nsga2Sampler,
        "nsga3": Nsga3Sampler,
        "tpe": TpeSampler,
        "gp": GpSampler,
        "random": RandomSampler,
        "grid": GridSampler,
    },
)


def register_sampler(
    name: str, *, needs_accuracy: bool = False, needs_finite_space: bool = False
) -> Callable[[Factory], Factory]:
    """Register a sampler, which studies use as ``sampler = name``.

    Decorates a subclass of `Sampler`.

    Args:
        name: of the sampler.
        needs_accuracy: whether accuracy must be one of the study's objectives.
        needs_finite_space: whether each searched parameter must have a finite number of values.

    Raises:
        StudyError: the name is taken.
    """

    def register(factory: Factory) -> Factory:
        SAMPLERS.register(name, SamplerNeeds(needs_accuracy, needs_finite_space))
        FACTORIES.register(name, factory)
        return factory

    return register


def make_sampler(problem: Problem, ledger: Ledger) -> Sampler:
    """The sampler that a study names.

    Args:
        problem: the study, its space, and what candidates cost.
        ledger: what is known of the study's trials.
    """
    name = problem.study.sampler
    if name not in FACTORIES.added():
        return FACTORIES[name](problem, ledger)
    with user_code(f"sampler {name!r}"):
        made = FACTORIES[name](problem, ledger)
    if not isinstance(made, Sampler):
        raise StudyError(f"sampler {name!r}: must be a Sampler, but is {type(made).__name__}")
    return _RegisteredSampler(name, made)


class _RegisteredSampler(Sampler):
    """A sampler that is not of this package: its errors are named, and its points are checked."""

    def __init__(self, name: str, inner: Sampler) -> None:
        super().__init__(inner.problem, inner.ledger)
        self._name, self._inner = f"sampler {name!r}", inner

    def propose(self, number: int) -> Point | None:
        with user_code(self._name):
            point = self._inner.propose(number)
        if point is not None:
            self._check(point)
        return point

    def learn(self, result: RungResult) -> None:
        with user_code(self._name):
            self._inner.learn(result)

    def resume(self, results: Sequence[RungResult]) -> None:
        with user_code(self._name):
            self._inner.resume(results)

    def optuna_sampler(self, number: int) -> BaseSampler:
        with user_code(self._name):
            return self._inner.optuna_sampler(number)

    def pruner(self) -> Pruner:
        with user_code(self._name):
            return self._inner.pruner()

    def _check(self, point: Point) -> None:
        for name, value in point.items():
            if name not in self.distributions:
                raise StudyError(
                    f"{self._name}: proposed {name!r}, which the study does not search"
                )
            try:
                optuna.trial.create_trial(
                    state=TrialState.RUNNING,
                    params={name: value},
                    distributions={name: self.distributions[name]},
                )
            except ValueError:
                raise StudyError(
                    f"{self._name}: proposed {name} = {value!r}, which is not in the space"
                ) from None
