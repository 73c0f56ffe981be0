"""Places for the maps of a network in one block of memory, the arena."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

FEW = 5  # maps; all orders are tried
MOST_TRIED = 3_000  # maps; for more, one order is tried
WORK = 4_000  # maps to place from each first order; limits how often the order is improved
MOST_MOVES = 20  # changes of an order


@dataclass(frozen=True)
class Lifetime:
    """A map in memory.

    Attributes:
        bytes: its size. A number that divides all sizes also divides all places.
        first: the step that writes it.
        last: the last step that reads it.
    """

    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Placement:
    """Places of maps, so that no two maps that are alive at the same step overlap.

    Attributes:
        places: the first byte of each map.
        bytes: size of the arena.
    """

    places: tuple[int, ...]
    bytes: int


def least_bytes(lifetimes: Sequence[Lifetime]) -> int:
    """A lower bound for any placement: the most bytes that are alive at one step."""
    steps = max((each.last for each in lifetimes), default=-1) + 1
    return max(live_bytes(lifetimes, steps), default=0)


def live_bytes(lifetimes: Sequence[Lifetime], steps: int) -> list[int]:
    """Bytes that are alive at each of ``steps`` steps."""
    change = np.zeros(steps + 1, np.int64)
    for each in lifetimes:
        change[each.first] += each.bytes
        change[each.last + 1] -= each.bytes
    found: list[int] = np.cumsum(change)[:-1].tolist()
    return found


def place(lifetimes: Sequence[Lifetime]) -> Placement:
    """Place maps so that the arena is small.

    Each map goes to the lowest place where it fits, so the result depends on the order of the maps.
    Some order gives the smallest arena there is, but finding it is NP-hard. For a few maps, all
    orders are tried. For more, the maps at the end of the arena move to the front of the order, and
    it is tried again. The search stops at an arena of `least_bytes`.
    """
    bound = least_bytes(lifetimes)
    best = Placement((), 0)
    for found in _trials(lifetimes):
        if not best.places or found.bytes < best.bytes:
            best = found
        if best.bytes == bound:
            break
    return best


def _trials(lifetimes: Sequence[Lifetime]) -> Iterator[Placement]:
    count = len(lifetimes)
    if count <= FEW:
        yield from (
            place_in_order(lifetimes, each) for each in itertools.permutations(range(count))
        )
        return
    moves = min(MOST_MOVES, WORK // count)
    for order in _first_orders(lifetimes):
        yield (found := place_in_order(lifetimes, order))
        for _ in range(moves):
            ends = [place + each.bytes for place, each in zip(found.places, lifetimes, strict=True)]
            order.sort(key=lambda index: ends[index] != found.bytes)  # others keep their order
            yield (found := place_in_order(lifetimes, order))


def _first_orders(lifetimes: Sequence[Lifetime]) -> Iterator[list[int]]:
    indices = range(len(lifetimes))
    yield sorted(indices, key=lambda i: (-lifetimes[i].bytes, lifetimes[i].first))
    if len(lifetimes) <= MOST_TRIED:
        yield sorted(indices, key=lambda i: (lifetimes[i].first, -lifetimes[i].bytes))
        yield sorted(indices, key=lambda i: lifetimes[i].first - lifetimes[i].last)


def place_in_order(lifetimes: Sequence[Lifetime], order: Iterable[int]) -> Placement:
    """Place maps in this order, each at the lowest place where it fits."""
    count = len(lifetimes)
    first = np.array([each.first for each in lifetimes])
    last = np.array([each.last for each in lifetimes])
    sizes = np.array([each.bytes for each in lifetimes])
    places = np.full(count, -1)
    for index in order:
        beside = (places >= 0) & (first <= last[index]) & (first[index] <= last)
        rivals = np.flatnonzero(beside)
        place = 0
        for rival in rivals[np.argsort(places[rivals], kind="stable")]:
            if places[rival] - place >= sizes[index]:
                break
            place = max(place, int(places[rival] + sizes[rival]))
        places[index] = place
    total = int((places + sizes).max(initial=0))
    return Placement(tuple(int(each) for each in places), total)
