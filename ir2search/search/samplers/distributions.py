"""A search space in Optuna's terms."""

from __future__ import annotations

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ir2search.space import Choice, Domain, SearchSpace


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
