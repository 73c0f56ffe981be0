"""Time several calls in turns, so that other work on the machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from ir2search.runtime import Timing

TURN = 0.02  # seconds; long enough that refilling the caches does not matter
MIN_TURNS = 3
MIN_WARM_UP, MIN_WARM_CALLS = 0.2, 3  # seconds and calls; both are reached


def time_in_turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time each call, after a warm-up, in turns of about 20 ms.

    The first call of a turn finds the caches filled with another call's data. It is not counted,
    unless a turn is a single call.

    Args:
        calls: what to call, by name.
        seconds: time to spend on each call without the warm-up; at least three turns.
        clock: returns the time in seconds.

    Returns:
        The time of a call, by name.
    """
    repeats = {name: _warm_up(call, clock) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    spent = dict.fromkeys(calls, 0.0)
    turn = 0
    while turn < MIN_TURNS or min(spent.values()) < seconds:
        for name, call in calls.items():
            if turn >= MIN_TURNS and spent[name] >= seconds:
                continue
            own = [_time_once(call, clock) for _ in range(repeats[name])]
            spent[name] += sum(own)
            times[name] += own[1:] or own
        turn += 1
    return {name: _summary(own) for name, own in times.items()}


def _warm_up(call: Callable[[], object], clock: Callable[[], float]) -> int:
    """Call until warm; return the number of calls in a turn, the uncounted first one included."""
    times: list[float] = []
    while len(times) < MIN_WARM_CALLS or sum(times) < MIN_WARM_UP:
        times.append(_time_once(call, clock))
    usual = float(np.median(times))
    return 1 if usual >= TURN else 1 + int(np.ceil(TURN / max(usual, 1e-6)))


def _time_once(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


def _summary(times: list[float]) -> Timing:
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75))
    return Timing(float(median), float(low), float(high), len(times))
