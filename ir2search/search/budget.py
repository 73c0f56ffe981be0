"""A study's budget: costs that no candidate may exceed."""

from __future__ import annotations

from ir2search.costs import Cost, cost
from ir2search.errors import SpaceError
from ir2search.search.engines.job import OUT_OF_MEMORY
from ir2search.search.objectives import OBJECTIVES
from ir2search.search.study import Study
from ir2search.space import Candidate, SearchSpace


def check_budget(study: Study, space: SearchSpace) -> None:
    """Raise SpaceError where no candidate of the space is within the study's budget."""
    nearest: tuple[float, str, float] | None = None
    for candidate in space.corners():
        try:
            costs = costs_of(cost(candidate)) if study.budget else {}
        except OUT_OF_MEMORY:
            continue
        excess = max(
            ((costs[name] / limit, name, costs[name]) for name, limit in study.budget.items()),
            default=(0.0, "", 0.0),
        )
        if excess[0] <= 1:
            return
        nearest = min(nearest or excess, excess)
    if nearest is None:
        raise SpaceError(
            f"{study.source}: [space] no combination of its values names a network; widen it"
        )
    _, name, value = nearest
    raise SpaceError(
        f"{study.source}: [budget] {name}: no candidate of the space is within the budget; "
        f"the nearest has {value:g} {OBJECTIVES[name].label}; raise it or widen [space]"
    )


def over_budget(study: Study, price: Cost) -> str | None:
    """A sentence on the first cost over the study's budget; None within the budget."""
    costs = costs_of(price)
    for name, limit in study.budget.items():
        if costs[name] > limit:
            return f"over budget: {name} {costs[name]:g} > {limit:g}"
    return None


def is_affordable(study: Study, candidate: Candidate) -> bool:
    """Whether it is within the budget, as far as one can say before it is tried."""
    try:
        return not study.budget or over_budget(study, cost(candidate)) is None
    except OUT_OF_MEMORY:
        return True


def costs_of(price: Cost) -> dict[str, float]:
    """The costs by objective name."""
    return {
        name: float(getattr(price, objective.column))
        for name, objective in OBJECTIVES.items()
        if name != "accuracy"
    }
