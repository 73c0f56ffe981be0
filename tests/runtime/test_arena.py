"""Places in the arena against brute force."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ir2search.runtime.arena import Lifetime, Placement, least_bytes, place, place_in_order

LIFETIMES = st.builds(
    lambda size, first, steps: Lifetime(8 * size, first, first + steps),
    st.integers(1, 9), st.integers(0, 5), st.integers(0, 4),
)  # fmt: skip


def smallest(lifetimes: list[Lifetime]) -> int:
    """The smallest arena: some order of placing each map as low as it can lie gives it."""
    orders = itertools.permutations(range(len(lifetimes)))
    return min(place_in_order(lifetimes, order).bytes for order in orders)


def check(lifetimes: list[Lifetime], found: Placement) -> None:
    """No two maps that are alive at the same step overlap, and the arena holds all of them."""
    spans = [(each, at, at + each.bytes) for each, at in zip(lifetimes, found.places, strict=True)]
    for (one, start, end), (other, begin, stop) in itertools.combinations(spans, 2):
        apart = end <= begin or stop <= start
        assert apart or one.last < other.first or other.last < one.first
    assert found.bytes == max(end for _, _, end in spans)


@given(st.lists(LIFETIMES, min_size=1, max_size=5))
def test_the_arena_of_few_maps_is_as_small_as_it_can_be(lifetimes: list[Lifetime]) -> None:
    found = place(lifetimes)
    check(lifetimes, found)
    assert found.bytes == smallest(lifetimes) >= least_bytes(lifetimes)


@given(st.lists(LIFETIMES, min_size=1, max_size=50))
def test_maps_that_are_alive_together_do_not_overlap(lifetimes: list[Lifetime]) -> None:
    check(lifetimes, place(lifetimes))


def test_thousands_of_maps_are_placed() -> None:
    lifetimes = [Lifetime(64 * (1 + step % 7), step, step + step % 5) for step in range(5000)]
    assert place(lifetimes).bytes <= 1.5 * least_bytes(lifetimes)


def test_a_program_without_maps_needs_no_arena() -> None:
    assert place([]) == Placement((), 0)
    assert least_bytes([]) == 0
