"""Samplers by name: those of this package, and those that users register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from ir2search.errors import StudyError
from ir2search.registry import Registry, user_code
from ir2search.search.ledger import Ledger
from ir2search.search.problem import Problem
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

    Raises:
        StudyError: a registered sampler cannot be made; the message names it.
    """
    name = problem.study.sampler
    with errors_named(name):
        made = FACTORIES[name](problem, ledger)
    if not isinstance(made, Sampler):
        raise StudyError(f"sampler {name!r}: must be a Sampler, but is {type(made).__name__}")
    return made


def errors_named(name: str) -> AbstractContextManager[None]:
    """A context that names a user's sampler in the exceptions that it raises."""
    return user_code(f"sampler {name!r}") if name in FACTORIES.added() else nullcontext()


def check_point(name: str, point: Point, domains: Mapping[str, BaseDistribution]) -> None:
    """Check that a point is in the space; ``name`` is the sampler that proposed it.

    Raises:
        StudyError: it is not; the message names the value.
    """
    for key, value in point.items():
        if key not in domains:
            raise StudyError(f"sampler {name!r}: proposed {key!r}, which the study does not search")
        domain = {key: domains[key]}
        try:
            create_trial(state=TrialState.RUNNING, params={key: value}, distributions=domain)
        except ValueError:
            raise StudyError(
                f"sampler {name!r}: proposed {key} = {value!r}, which is not in the space"
            ) from None
