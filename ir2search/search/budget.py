"""A study's budget: costs that no candidate may exceed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ir2search.costs import Cost, cost
from ir2search.errors import SpaceError
from ir2search.models.check import check_network
from ir2search.models.families import FAMILIES
from ir2search.search.engines.job import OUT_OF_MEMORY
from ir2search.search.objectives import OBJECTIVES, costs_of
from ir2search.search.study import Study
from ir2search.space import Candidate, SearchSpace, build


def check_budget(study: Study, space: SearchSpace) -> None:
    """Try what is registered, and whether anything is within the budget.

    Raises:
        SpaceError: no candidate of the space is within the study's budget.
        StudyError: a registered backbone or objective does not give what it should.
    """
    _check_backbone(space)
    nearest: tuple[float, str, float] | None = None
    for candidate in space.corners():
        try:
            costs = study_costs(study, candidate, cost(candidate))
        except OUT_OF_MEMORY:
            continue
        excess = max(
            (
                (costs[OBJECTIVES[name].column] / limit, name, costs[OBJECTIVES[name].column])
                for name, limit in study.budget.items()
            ),
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


def _check_backbone(space: SearchSpace) -> None:
    first = next(space.corners(), None)
    if first is None or first.backbone not in FAMILIES.added():
        return
    family = FAMILIES[first.backbone]
    check_network(first.backbone, family, build(first), first.image)


def study_costs(study: Study, candidate: Candidate, price: Cost) -> dict[str, Any]:
    """All costs by column that a study asks for, see `costs_of`."""
    return costs_of(candidate, price, {*study.objectives, *study.budget})


def over_budget(study: Study, costs: Mapping[str, Any]) -> str | None:
    """A sentence on the first of `study_costs` over the budget; None within the budget."""
    for name, limit in study.budget.items():
        value = costs[OBJECTIVES[name].column]
        if value > limit:
            return f"over budget: {name} {value:g} > {limit:g}"
    return None


def is_affordable(study: Study, candidate: Candidate) -> bool:
    """Whether it is within the budget, as far as one can say before it is tried."""
    try:
        costs = study_costs(study, candidate, cost(candidate)) if study.budget else {}
        return over_budget(study, costs) is None
    except OUT_OF_MEMORY:
        return True
