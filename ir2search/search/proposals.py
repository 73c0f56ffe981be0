"""What is tried next."""

from __future__ import annotations

import random
from collections.abc import Callable

import optuna
from optuna.trial import Trial

from ir2search.errors import CandidateError
from ir2search.search.ledger import Ledger
from ir2search.search.samplers import GENETIC, derive_seed, distributions, make_sampler
from ir2search.search.study import Study
from ir2search.space import Candidate, SearchSpace

RANDOM_DRAWS = 2000


def ask(study: Study, space: SearchSpace, storage: optuna.Study, ledger: Ledger) -> Trial:
    """A new trial. With rungs, samplers that can learn from stopped trials do."""
    sampler = make_sampler(study.sampler, study.seed, ledger.proposed)
    ledger.proposed += 1
    if ledger.queued:
        ledger.queued -= 1
    elif study.rungs is not None and study.sampler not in GENETIC:
        proposed = ledger.observations.propose(sampler, distributions(space))
        storage.enqueue_trial(proposed)
    storage.sampler = sampler
    return storage.ask(distributions(space))


def enqueue_new(
    study: Study,
    space: SearchSpace,
    storage: optuna.Study,
    ledger: Ledger,
    is_affordable: Callable[[Candidate], bool],
) -> bool:
    """Queue a point at random that is new and affordable; False if none was found."""
    generator = random.Random(derive_seed(study.seed, "enqueue", ledger.proposed))
    for point in space.points(generator, RANDOM_DRAWS):
        try:
            candidate = space.candidate(point)
        except CandidateError:
            continue
        if candidate.id not in ledger.seen and is_affordable(candidate):
            storage.enqueue_trial(point)
            ledger.queued += 1
            return True
    return False
