"""Checks before a search: are there candidates within the budget, and does user code work?"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from ir2search.errors import CandidateError, SpaceError
from ir2search.models.check import check_network
from ir2search.models.families import FAMILIES
from ir2search.search.problem import Problem
from ir2search.space import Candidate, SearchSpace, build
from ir2search.study.objectives import LATENCY, OBJECTIVES

CORNERS = 2000  # of the space to try before a budget is refused
TRIED = 500  # random candidates to try before a budget on a registered cost is refused
TIMED = 3  # candidates to time before a budget on the latency is refused


def check_budget(problem: Problem) -> None:
    """Check that a registered backbone works, and that some candidate is within the budget.

    Raises:
        SpaceError: no candidate of the space is within the study's budget.
        StudyError: a registered backbone or objective does not return what it should.
    """
    _check_backbone(problem.space)
    _check_counted(problem)
    if problem.timer.is_used:
        _check_latency(problem)


def _check_counted(problem: Problem) -> None:
    """Raise SpaceError unless the counted costs of some candidate are within the budget."""
    study, nearest = problem.study, None
    limits = {
        name: limit for name, limit in study.budget.items() if name != LATENCY or not study.is_timed
    }
    for candidate in _tried(problem):
        try:
            costs = problem.counted(candidate)
        except MemoryError:
            continue
        values = {name: costs[OBJECTIVES[name].column] for name in limits}
        excesses = [(value / limits[name], name, value) for name, value in values.items()]
        excess = max(excesses, default=(0.0, "", 0.0))
        if excess[0] <= 1:
            return
        nearest = min(nearest or excess, excess)
    if nearest is None:
        raise SpaceError(
            f"{study.source}: [space] no combination of its values gives a network; widen it"
        )
    _, name, value = nearest
    raise SpaceError(
        f"{study.source}: [budget] {name}: no candidate of the space is within the budget; "
        f"the nearest has {value:g} {OBJECTIVES[name].label}; raise it or widen [space]"
    )


def _check_latency(problem: Problem) -> None:
    """Raise SpaceError unless one of the networks with the fewest OPs is fast enough."""
    found: dict[str, tuple[float, Candidate]] = {}
    for count, candidate in enumerate(_tried(problem)):
        if count >= TRIED and found:
            break
        try:
            costs = problem.counted(candidate)
        except MemoryError:
            continue
        if problem.study.over_budget(costs) is None:
            found[candidate.id] = costs["ops"], candidate
    limit = problem.study.budget.get(LATENCY)
    cheapest = sorted(found.values(), key=lambda pair: pair[0])[: 1 if limit is None else TIMED]
    column = OBJECTIVES[LATENCY].budget_column
    fastest = min(problem.timer.costs(candidate)[column] for _, candidate in cheapest)
    if limit is not None and fastest > limit:
        raise SpaceError(
            f"{problem.study.source}: [budget] latency: of the {len(cheapest)} networks with the "
            f"fewest OPs the fastest takes {fastest:.3g} ms; raise it or widen [space]"
        )


def _tried(problem: Problem) -> Iterator[Candidate]:
    """Candidates to check against the budget: the corners of the space, and random ones.

    The costs of this package are lowest at a corner, but for a searched fusion width. A registered
    cost may be lowest anywhere.
    """
    yield from itertools.islice(problem.space.corners(), CORNERS)
    registered = any(OBJECTIVES[name].function for name in problem.study.budget)
    if not registered and not {"fusion_channels", "fusion_ratio"} & problem.space.searched.keys():
        return
    for point in problem.space.points(random.Random(problem.study.seed), TRIED):
        try:
            yield problem.space.candidate(point)
        except CandidateError:
            continue


def _check_backbone(space: SearchSpace) -> None:
    """Build and run networks of a registered family: one of each size at the corners."""
    by_size = {
        (candidate.depth, candidate.width): candidate
        for candidate in itertools.takewhile(
            lambda each: each.backbone in FAMILIES.added(), space.corners()
        )
    }
    for candidate in by_size.values():
        name = candidate.backbone
        check_network(
            *(name, FAMILIES[name], build(candidate)),
            *(candidate.channels, candidate.image, candidate.classes),
        )
