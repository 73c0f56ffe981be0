"""Time several ways to do the same, turn by turn, so that what slows the machine slows them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

BLOCK = 0.02  # seconds of one's turn: long beside what it takes to fill caches anew
WARM_UP = 0.2  # seconds, and at least
WARM_CALLS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds of a call.

    Attributes:
        median: half of the calls took longer.
        low: the first quartile.
        high: the third.
        calls: how many were timed.
    """

    median: float
    low: float
    high: float
    calls: int

    @property
    def noise(self) -> float:
        """The distance of the quartiles as a share of the median."""
        return (self.high - self.low) / self.median

    def differs(self, other: Timing) -> bool:
        """Whether the middle halves of both lie apart: what overlaps is within the noise."""
        return self.low > other.high or self.high < other.low


def timed(
    ways: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time each way, after a warm-up, in turns of about 20 ms.

    The first call of each turn finds the caches filled by another's data and is not counted,
    unless a turn is a single call.

    Args:
        ways: what to call, by name.
        seconds: for each way, warm-up aside; each has three turns at least.
        clock: gives seconds.
    """
    calls = {name: _warm(way, clock) for name, way in ways.items()}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    spent = dict.fromkeys(ways, 0.0)
    turn = 0
    while turn < 3 or min(spent.values()) < seconds:
        for name, way in ways.items():
            if turn >= 3 and spent[name] >= seconds:
                continue
            times = [_once(way, clock) for _ in range(calls[name])]
            spent[name] += sum(times)
            taken[name] += times[1:] or times
        turn += 1
    return {name: _summary(times) for name, times in taken.items()}


def _warm(way: Callable[[], object], clock: Callable[[], float]) -> int:
    """How many calls make a turn, one of them not counted."""
    times: list[float] = []
    while len(times) < WARM_CALLS or sum(times) < WARM_UP:
        times.append(_once(way, clock))
    usual = float(np.median(times))
    return 1 if usual >= BLOCK else 1 + int(np.ceil(BLOCK / max(usual, 1e-6)))


def _once(way: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    way()
    return clock() - began


def _summary(times: list[float]) -> Timing:
    low, median, high = np.quantile(times, (0.25, 0.5, 0.75))
    return Timing(float(median), float(low), float(high), len(times))
