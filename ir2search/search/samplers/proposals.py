"""What is tried next."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import Trial

from ir2search.costs import cost
from ir2search.errors import CandidateError, StudyError
from ir2search.search.budget import is_affordable
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.ledger import Ledger, Offer
from ir2search.search.samplers.optuna_samplers import GENETIC, distributions, make_sampler
from ir2search.seeds import derive_seed
from ir2search.space import SearchSpace
from ir2search.study.budget import over_budget, study_costs
from ir2search.study.objectives import LATENCY, OBJECTIVES
from ir2search.study.schema import Study

RANDOM_DRAWS = 2000
LATEST = 128  # trials that `ehvi` learns from beside the front
POOL = 512  # points that are compared before one is proposed: all, where there are no more
FRESH = 64  # of them are drawn for each proposal: counting takes longer than comparing
TIMED = 8  # of them are timed, where time is a cost: all would take minutes


def ask(
    study: Study, space: SearchSpace, storage: optuna.Study, ledger: Ledger, timer: LatencyTimer
) -> Trial:
    """A new trial. With rungs, samplers that can learn from stopped trials do."""
    sampler = make_sampler(study.sampler, study.seed, ledger.proposed)
    ledger.proposed += 1
    ledger.stale += 1
    if ledger.queued:
        ledger.queued -= 1
    elif study.sampler == "ehvi":
        if (point := _most_worth(study, space, ledger, timer)) is not None:
            storage.enqueue_trial(point)
    elif study.rungs is not None and study.sampler not in GENETIC:
        proposed = ledger.observations.propose(sampler, distributions(space))
        storage.enqueue_trial(proposed)
    storage.sampler = sampler
    return storage.ask(distributions(space))


def goes_on(study: Study, space: SearchSpace, ledger: Ledger) -> tuple[int, int] | None:
    """The trial to go on with and the level it goes to; None for no one, or a new one first.

    With ``ehvi`` it is what `freeze_thaw` finds, as long as new trials may be begun; once all are,
    those go on that are on the front, to their end. The first of all goes to its end at once, to
    show how curves go on; meanwhile other workers begin new ones.
    """
    ladder, busy = ledger.ladder, ledger.underway
    if not _thaws(study):
        return ladder.next(busy)
    waiting = [number for number in ladder.waiting() if number not in busy]
    is_full = len(ledger.begun) >= study.trials
    if is_full:
        front = ladder.front()
        waiting = [number for number in waiting if number in front]
    if not waiting or (not is_full and not ladder.finished() and busy & {*ladder.begun()}):
        return None
    chosen = waiting[0]
    if not is_full and ladder.finished():
        pool = _pool(study, space, ledger, ledger.proposed + 1)
        costs = np.array([_compared(study, ledger, each.costs) for each in pool])
        begun, rates = _worth_an_epoch(study, space, ledger, waiting, pool, costs)
        best = int(np.argmax(rates))
        if best >= len(begun):
            return None
        chosen = begun[best]
    return chosen, max(ladder.curve(chosen)) + 1


def _thaws(study: Study) -> bool:
    return study.sampler == "ehvi" and study.rungs is not None


def enqueue_new(
    study: Study, space: SearchSpace, storage: optuna.Study, ledger: Ledger, timer: LatencyTimer
) -> bool:
    """Queue a point at random that is new and affordable; False if none was found."""
    generator = random.Random(derive_seed(study.seed, "enqueue", ledger.proposed))
    for point in space.points(generator, RANDOM_DRAWS):
        try:
            candidate = space.candidate(point)
        except CandidateError:
            continue
        if candidate.id not in ledger.seen and is_affordable(study, candidate, timer):
            storage.enqueue_trial(point)
            ledger.queued += 1
            return True
    return False


def _most_worth(
    study: Study, space: SearchSpace, ledger: Ledger, timer: LatencyTimer
) -> dict[str, Any] | None:
    """The new point that is expected to add most to the front at its costs; None without one.

    Where time is a cost it is estimated by operations first. Only those that are then expected to
    add most are timed, and compared at what they take.
    """
    from ir2search.search.samplers.surrogate import START, farthest, worth

    pool = _pool(study, space, ledger, ledger.proposed)
    if not pool:
        return None
    costs = np.array([_compared(study, ledger, each.costs) for each in pool])
    if len(ledger.ladder.finished()) < (1 if _thaws(study) else START):
        return pool[farthest(costs, _costs(study, ledger, _learned(ledger)))].point

    def gains() -> np.ndarray:
        if _thaws(study):
            begun, rates = _worth_an_epoch(study, space, ledger, (), pool, costs)
            return rates[len(begun) :]
        met = _learned(ledger)
        known = [space.candidate(ledger.known[number][0]) for number in met]
        errors = _errors(study, ledger, met)[:, -1]
        candidates = [each.candidate for each in pool]
        return worth(candidates, costs, known, _costs(study, ledger, met), errors)

    best = [int(place) for place in np.argsort(-gains(), kind="stable")]
    if timer.is_used:
        best = [place for place in best[:TIMED] if _is_timed(study, pool[place], timer)]
        for place in best:
            costs[place] = _compared(study, ledger, pool[place].costs)
        now = gains()
        best.sort(key=lambda place: -now[place])
    return pool[best[0]].point if best else None


def _worth_an_epoch(
    study: Study,
    space: SearchSpace,
    ledger: Ledger,
    waiting: Collection[int],
    pool: Sequence[Offer],
    costs: np.ndarray,
) -> tuple[list[int], np.ndarray]:
    """Begun trials, and what an epoch of each is worth, then of each of the pool."""
    from ir2search.search.samplers.freeze_thaw import worth_an_epoch

    begun, levels = _learned(ledger), ledger.ladder.levels
    candidates = [space.candidate(ledger.known[number][0]) for number in begun]
    candidates += [each.candidate for each in pool]
    errors = np.full((len(candidates), len(levels)), np.nan)
    errors[: len(begun)] = _errors(study, ledger, begun)
    closed, towards = np.zeros(len(candidates), dtype=bool), np.full(len(candidates), -1)
    for row, number in enumerate(begun):
        closed[row] = number not in waiting
        if number in ledger.underway:
            towards[row] = max(ledger.ladder.curve(number), default=-1) + 1
    everyone = np.array([*_costs(study, ledger, begun), *costs])
    return begun, worth_an_epoch(candidates, everyone, errors, levels, closed, towards)


def _learned(ledger: Ledger) -> list[int]:
    """The trials from which is learned: on the front, the latest, and those in training."""
    ladder = ledger.ladder
    return sorted(ladder.front().union(ladder.begun()[-LATEST:], ledger.underway))


def _errors(study: Study, ledger: Ledger, numbers: Sequence[int]) -> np.ndarray:
    """Errors of trials by level, (trials, levels); NaN where they have not been."""
    at = study.objectives.index("accuracy")
    errors = np.full((len(numbers), len(ledger.ladder.levels)), np.nan)
    for row, number in enumerate(numbers):
        for level, values in ledger.ladder.curve(number).items():
            errors[row, level] = values[at]
    return errors


def _costs(study: Study, ledger: Ledger, numbers: Sequence[int]) -> np.ndarray:
    """The objectives of trials that are costs, (trials, costs)."""
    rows = [_compared(study, ledger, ledger.known[number][1]) for number in numbers]
    return np.array(rows).reshape(-1, len(study.objectives) - 1)


def _compared(study: Study, ledger: Ledger, costs: Mapping[str, Any]) -> list[float]:
    """The objectives that are costs."""
    values = ledger.values(costs, 1.0)
    return [value for name, value in values.items() if name != "accuracy"]


def _is_timed(study: Study, proposal: Offer, timer: LatencyTimer) -> bool:
    """Put what a candidate takes in its costs; False where it takes too long or cannot be run."""
    try:
        proposal.costs.update(timer.costs(proposal.candidate))
    except StudyError:
        return False
    return over_budget(study, proposal.costs) is None


def _pool(study: Study, space: SearchSpace, ledger: Ledger, proposal: int) -> list[Offer]:
    """New and affordable candidates for a proposal with their costs, the latency an estimate.

    All of a small space; else those that were drawn for the latest proposals, this one included.
    """
    small = space.size <= POOL
    latest = [proposal] if small else range(max(1, proposal - POOL // FRESH + 1), proposal + 1)
    known, wanted = ledger.offers, POOL if small else FRESH
    ledger.offers = {
        number: known[number] if number in known else _offers(study, space, number, wanted)
        for number in latest
    }
    offers = {name: each for drawn in ledger.offers.values() for name, each in drawn.items()}
    found = [each for name, each in offers.items() if name not in ledger.seen]
    if study.is_timed:
        _estimate(found, ledger)
    return [each for each in found if over_budget(study, each.costs) is None]


def _offers(study: Study, space: SearchSpace, proposal: int, wanted: int) -> dict[str, Offer]:
    """So many candidates at random that are affordable as far as they are counted, by id."""
    generator = random.Random(derive_seed(study.seed, "pool", proposal))
    found: dict[str, Offer] = {}
    for point in space.points(generator, POOL):
        try:
            candidate = space.candidate(point)
            costs = study_costs(study, candidate, cost(candidate))
        except (CandidateError, MemoryError, StudyError):
            continue
        if over_budget(study, costs) is None:
            found.setdefault(candidate.id, Offer(point, candidate, costs))
        if len(found) == wanted:
            break
    return found


def _estimate(pool: Sequence[Offer], ledger: Ledger) -> None:
    """Put latencies by operations in the costs: for the budget only where some are known."""
    from ir2search.search.samplers.surrogate import expected_times

    known = sorted(ledger.times.values())
    ops = np.array([each.costs["ops"] for each in pool])
    expected = expected_times([row[0] for row in known], [row[1] for row in known], ops)
    latency = OBJECTIVES[LATENCY]
    for each, time in zip(pool, expected, strict=True):
        each.costs[latency.column] = float(time)
        if known:
            each.costs[latency.budget_column] = float(time)
