"""Places for the maps of a network in one block of memory, the arena."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MOST_TRIED = 200  # maps; for larger networks, one order is tried
TRIED = 300  # random orders
FEW = 5  # maps; all orders are tried


@dataclass(frozen=True)
class Lifetime:
    """A map in memory.

    Attributes:
        bytes: its size; all places are multiples of what divides all sizes.
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
    if not lifetimes:
        return 0
    change = np.zeros(max(each.last for each in lifetimes) + 2, np.int64)
    for each in lifetimes:
        change[each.first] += each.bytes
        change[each.last + 1] -= each.bytes
    return int(np.cumsum(change).max())


def place(lifetimes: Sequence[Lifetime]) -> Placement:
    """Place maps so that the arena is small.

    Maps are placed one after the other, each at the lowest place where it fits. The smallest arena
    of several orders is taken; the first order that reaches `least_bytes` ends the trial. Some
    order always gives the smallest arena there is, but finding it is NP-hard. For a few maps, all
    orders are tried.
    """
    bound = least_bytes(lifetimes)
    best: Placement | None = None
    for order in _orders(lifetimes):
        found = place_in_order(lifetimes, order)
        if best is None or found.bytes < best.bytes:
            best = found
        if best.bytes == bound:
            break
    return best if best is not None else Placement((), 0)


def _orders(lifetimes: Sequence[Lifetime]) -> Iterator[Iterable[int]]:
    indices = range(len(lifetimes))
    yield sorted(indices, key=lambda i: (-lifetimes[i].bytes, lifetimes[i].first))
    if len(lifetimes) <= FEW:
        yield from itertools.permutations(indices)
    elif len(lifetimes) <= MOST_TRIED:
        yield sorted(indices, key=lambda i: (lifetimes[i].first, -lifetimes[i].bytes))
        yield sorted(indices, key=lambda i: lifetimes[i].first - lifetimes[i].last)
        draw = np.random.default_rng(0)
        yield from (draw.permutation(len(indices)).tolist() for _ in range(TRIED))


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
