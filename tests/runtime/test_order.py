from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.kernels.inference import Form, Operation
from ir2search.runtime.lowering import MICROCONTROLLER, Step
from ir2search.runtime.order import in_little_memory
from ir2search.runtime.program import make_program


def step(reads: Sequence[int], writes: int) -> Step:
    roles = dict(zip(("source", "shortcut"), reads, strict=False))
    return Step(Operation.POINTWISE, Form(0), {}, {}, {**roles, "real": writes})


def can_run(steps: Sequence[Step], order: Sequence[int]) -> bool:
    """Whether each value is whole before it is read."""
    place = {index: number for number, index in enumerate(order)}
    return len(place) == len(steps) and all(
        place[writer] < place[reader]
        for reader, one in enumerate(steps)
        for writer, other in enumerate(steps)
        if set(other.writes) & set(one.reads)
    )


def peak(steps: Sequence[Step], order: Sequence[int], sizes: dict[int, int]) -> int:
    """The most bytes in use between two steps."""
    most = 0
    for done in range(1, len(order)):
        made = {0} | {value for index in order[:done] for value in steps[index].writes}
        needed = {value for index in order[done:] for value in steps[index].reads}
        started = {value for index in order[done:] for value in steps[index].writes}
        most = max(most, sum(sizes[value] for value in made & (needed | started)))
    return most


def all_orders(steps: Sequence[Step]) -> Iterator[list[int]]:
    def extend(order: list[int]) -> Iterator[list[int]]:
        if len(order) == len(steps):
            yield order
        for index in set(range(len(steps))) - set(order):
            later = set(range(len(steps))) - set(order)
            if not any(set(steps[each].writes) & set(steps[index].reads) for each in later):
                yield from extend([*order, index])

    return extend([])


@dataclass
class Tapped:
    """A chain of maps that shrink, whose maps are pooled, as recovery pools them, and joined."""

    maps: list[int]

    @property
    def steps(self) -> list[Step]:
        count = len(self.maps)
        chain = [step([number], number + 1) for number in range(count)]
        pools = [step([number + 1], count + 1 + number) for number in range(count)]
        joined = 2 * count + 1
        return [*chain, *pools, *(step([count + 1 + number], joined) for number in range(count))]

    @property
    def sizes(self) -> dict[int, int]:
        count = len(self.maps)
        sizes = [10, *self.maps, *[1] * count, count]
        return dict(enumerate(sizes))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(2, 50), min_size=1, max_size=3))
def test_taps_are_pooled_in_the_order_that_needs_the_least_memory(maps: list[int]) -> None:
    network = Tapped(sorted(maps, reverse=True))
    order = in_little_memory(network.steps, network.sizes)
    assert can_run(network.steps, order)
    best = min(peak(network.steps, each, network.sizes) for each in all_orders(network.steps))
    assert peak(network.steps, order, network.sizes) == best


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_graph_keeps_an_order_that_can_be_run(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    steps = [
        step(data.draw(st.lists(st.integers(0, index), min_size=1, max_size=2)), index + 1)
        for index in range(count)
    ]
    sizes = {value: data.draw(st.integers(1, 99)) for value in range(count + 1)}
    assert can_run(steps, in_little_memory(steps, sizes))


@pytest.mark.parametrize("taps", [(), ("stem",), ("stem", "stage1", "stage2")])
def test_a_tapped_map_is_not_kept_until_the_end(taps: tuple[str, ...]) -> None:
    """Only pooled maps are kept, which are a sixteenth of the stem's map and smaller."""
    target = replace(MICROCONTROLLER, is_microcontroller=False)  # which runs step by step
    plain, tapped = (
        make_program(candidate_graph(ir.Candidate(taps=each, fusion=fusion)), target)
        for each, fusion in (((), "none"), (taps, "dense" if taps else "none"))
    )
    assert tapped.arena <= plain.arena + 3 * 16 * 8 * 8 * 4
