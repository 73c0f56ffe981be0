"""A study's budget: costs that no candidate may exceed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from ir2search.costs import cost
from ir2search.errors import CandidateError, SpaceError, StudyError
from ir2search.models.check import check_network
from ir2search.models.families import FAMILIES
from ir2search.search.latency_timer import LatencyTimer
from ir2search.space import Candidate, SearchSpace, build
from ir2search.study.budget import over_budget, study_costs
from ir2search.study.objectives import LATENCY, OBJECTIVES
from ir2search.study.schema import Study

TRIED = 500  # candidates at random, before a budget on a cost of somebody's own is refused
TIMED = 3  # candidates, before a budget on the latency is refused


def check_budget(study: Study, space: SearchSpace, timer: LatencyTimer) -> None:
    """Try what is registered, and whether anything is within the budget.

    Of a latency, the cheapest networks by operations are timed: not all can be.

    Raises:
        SpaceError: no candidate of the space is within the study's budget.
        StudyError: a registered backbone or objective does not give what it should.
    """
    _check_backbone(space)
    _check_counted(study, space)
    if timer.is_used:
        _check_latency(study, space, timer)


def _check_counted(study: Study, space: SearchSpace) -> None:
    nearest: tuple[float, str, float] | None = None
    for candidate in _tried(study, space):
        try:
            costs = study_costs(study, candidate, cost(candidate))
        except MemoryError:
            continue
        counted = [
            (costs[OBJECTIVES[name].column], name, limit)
            for name, limit in study.budget.items()
            if name != LATENCY
        ]
        excess = max(
            ((value / limit, name, value) for value, name, limit in counted),
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


def _check_latency(study: Study, space: SearchSpace, timer: LatencyTimer) -> None:
    found: dict[str, tuple[float, Candidate]] = {}
    for candidate in itertools.islice(_tried(study, space), TRIED):
        try:
            price = cost(candidate)
        except MemoryError:
            continue
        if over_budget(study, study_costs(study, candidate, price)) is None:
            found[candidate.id] = price.ops, candidate
    limit = study.budget.get(LATENCY)
    cheapest = sorted(found.values(), key=lambda pair: pair[0])[: 1 if limit is None else TIMED]
    column = OBJECTIVES[LATENCY].budget_column
    fastest = min(timer.costs(candidate)[column] for _, candidate in cheapest)
    if limit is not None and fastest > limit:
        raise SpaceError(
            f"{study.source}: [budget] latency: of the {len(cheapest)} networks with the fewest "
            f"operations the fastest takes {fastest:.3g} ms; raise it or widen [space]"
        )


def _tried(study: Study, space: SearchSpace) -> Iterator[Candidate]:
    """Candidates of which one is within the budget where any is.

    Where a cost is somebody's own it need not be least at a corner; then others are tried too.
    """
    yield from space.corners()
    if not any(OBJECTIVES[name].measure for name in study.budget):
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


def is_affordable(study: Study, candidate: Candidate, timer: LatencyTimer) -> bool:
    """Whether it is within the budget, as far as one can say before it is tried."""
    if not study.budget:
        return True
    try:
        costs = study_costs(study, candidate, cost(candidate))
        if over_budget(study, costs) is None and LATENCY in study.budget:
            costs |= timer.known(candidate)
        return over_budget(study, costs) is None
    except (MemoryError, StudyError):
        return True
