"""What is tried next."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from optuna.trial import Trial

from ir2search.costs import cost
from ir2search.errors import CandidateError, StudyError
from ir2search.search.budget import is_affordable, over_budget, study_costs
from ir2search.search.engines import OUT_OF_MEMORY
from ir2search.search.ledger import Ledger
from ir2search.search.samplers import GENETIC, derive_seed, distributions, make_sampler
from ir2search.search.study import Study
from ir2search.space import Candidate, SearchSpace

RANDOM_DRAWS = 2000
POOL = 512  # points that are compared before one is proposed: all, where there are no more
START = 3  # candidates spread over the costs, before there is enough to learn from


def ask(study: Study, space: SearchSpace, storage: optuna.Study, ledger: Ledger) -> Trial:
    """A new trial. With rungs, samplers that can learn from stopped trials do."""
    sampler = make_sampler(study.sampler, study.seed, ledger.proposed)
    ledger.proposed += 1
    ledger.stale += 1
    if ledger.queued:
        ledger.queued -= 1
    elif study.sampler == "ehvi":
        if (point := _most_worth(study, space, ledger)) is not None:
            storage.enqueue_trial(point)
    elif study.rungs is not None and study.sampler not in GENETIC:
        proposed = ledger.observations.propose(sampler, distributions(space))
        storage.enqueue_trial(proposed)
    storage.sampler = sampler
    return storage.ask(distributions(space))


def enqueue_new(study: Study, space: SearchSpace, storage: optuna.Study, ledger: Ledger) -> bool:
    """Queue a point at random that is new and affordable; False if none was found."""
    generator = random.Random(derive_seed(study.seed, "enqueue", ledger.proposed))
    for point, candidate in _new_points(space, ledger, generator, RANDOM_DRAWS):
        if is_affordable(study, candidate):
            storage.enqueue_trial(point)
            ledger.queued += 1
            return True
    return False


def _most_worth(study: Study, space: SearchSpace, ledger: Ledger) -> dict[str, Any] | None:
    """The new point that is expected to add most to the front at its costs; None without one."""
    from ir2search.search.surrogate import farthest, most_worth

    pool = _pool(study, space, ledger)
    if not pool:
        return None
    points, candidates, costs = (list(column) for column in zip(*pool, strict=True))
    known = ledger.observations.known(START)
    at = study.objectives.index("accuracy")
    values = np.array([row for _, row in known]).reshape(-1, len(study.objectives))
    known_costs = np.delete(values, at, axis=1)
    if len(known) < START:
        return points[farthest(np.array(costs), known_costs)]
    met = [space.candidate(parameters) for parameters, _ in known]
    return points[most_worth(candidates, np.array(costs), met, known_costs, values[:, at])]


def _pool(
    study: Study, space: SearchSpace, ledger: Ledger
) -> list[tuple[dict[str, Any], Candidate, tuple[float, ...]]]:
    """New and affordable points with their candidates and costs."""
    generator = random.Random(derive_seed(study.seed, "pool", ledger.proposed))
    at = study.objectives.index("accuracy")
    found: dict[str, tuple[dict[str, Any], Candidate, tuple[float, ...]]] = {}
    for point, candidate in _new_points(space, ledger, generator, POOL):
        if candidate.id in found:
            continue
        try:
            costs = study_costs(study, candidate, cost(candidate))
        except (*OUT_OF_MEMORY, StudyError):
            continue
        if over_budget(study, costs) is None:
            values = ledger.minimised(costs, 1.0)
            found[candidate.id] = point, candidate, values[:at] + values[at + 1 :]
    return list(found.values())


def _new_points(
    space: SearchSpace, ledger: Ledger, generator: random.Random, draws: int
) -> Iterator[tuple[dict[str, Any], Candidate]]:
    """Points whose candidates no trial stands for, see `SearchSpace.points`."""
    for point in space.points(generator, draws):
        try:
            candidate = space.candidate(point)
        except CandidateError:
            continue
        if candidate.id not in ledger.seen:
            yield point, candidate
