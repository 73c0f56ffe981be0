"""A study's budget: costs that no candidate may exceed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from ir2search.costs import Cost, cost
from ir2search.errors import CandidateError, SpaceError, StudyError
from ir2search.models.check import check_network
from ir2search.models.families import FAMILIES
from ir2search.search.engines.job import OUT_OF_MEMORY
from ir2search.search.objectives import OBJECTIVES, costs_of, own_columns
from ir2search.search.study import Study
from ir2search.space import Candidate, SearchSpace, build

TRIED = 500  # candidates at random, before a budget on a cost of somebody's own is refused


def check_budget(study: Study, space: SearchSpace) -> None:
    """Try what is registered, and whether anything is within the budget.

    Raises:
        SpaceError: no candidate of the space is within the study's budget.
        StudyError: a registered backbone or objective does not give what it should.
    """
    _check_backbone(space)
    nearest: tuple[float, str, float] | None = None
    for candidate in _tried(study, space):
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


def _tried(study: Study, space: SearchSpace) -> Iterator[Candidate]:
    """Candidates of which one is within the budget where any is.

    Where a cost is somebody's own it need not be least at a corner; then others are tried too.
    """
    yield from space.corners()
    if not own_columns(study.budget):
        return
    for point in space.points(random.Random(study.seed), TRIED):
        try:
            yield space.candidate(point)
        except CandidateError:
            continue


def _check_backbone(space: SearchSpace) -> None:
    """Build and run a registered family's networks of every depth and width at the corners."""
    by_size = {(candidate.depth, candidate.width): candidate for candidate in space.corners()}
    for candidate in by_size.values():
        name = candidate.backbone
        if name not in FAMILIES.added():
            return
        family = FAMILIES[name]
        stem, classes = family.stem_channels(candidate.width), candidate.classes
        check_network(name, family, build(candidate), stem, candidate.image, classes)


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
    except (*OUT_OF_MEMORY, StudyError):
        return True
