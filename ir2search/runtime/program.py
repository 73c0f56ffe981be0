"""A network as a program for the C runtime: steps over one block of memory, the arena.

A program is the same on a computer and on a microcontroller, apart from what its `Target` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ir2search.kernels.inference import Operation
from ir2search.runtime.arena import Lifetime, place
from ir2search.runtime.graph import Graph
from ir2search.runtime.lowering import Step, Target, unit_steps
from ir2search.runtime.order import in_little_memory
from ir2search.runtime.schedule import make_schedule
from ir2search.runtime.weights import sign_bytes

IN_PLACE = {  # operations that may write their result over what they read, by what they read
    Operation.POINTWISE: ("source", "shortcut"),
    Operation.EIGHT_BITS: ("source",),
    Operation.CONVOLVE_SIGNS: ("shortcut",),
    Operation.CONVOLVE_NUMBERS: ("shortcut",),
}


@dataclass(frozen=True)
class MemoryUse:
    """Memory of the arena that is used from one step to another.

    Attributes:
        values: values of the graph that lie there in turn; none for copies of rows.
        place: the first byte.
        bytes: size for one image.
        first: the first step that uses it.
        last: the last step that uses it.
    """

    values: tuple[int, ...]
    place: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Program:
    """Steps that run a network.

    Attributes:
        target: the kind of machine.
        steps: the operations in order.
        units: the unit of the schedule that each step belongs to.
        places: for each step, places of its maps in the arena in bytes, for one image. A batch of n
            images needs n times the arena, and each place is multiplied by n.
        memory: what lies where in the arena, and when.
        arena: bytes of the arena for one image.
        scratch: the most bytes that a step needs for copies of rows.
        image: place of the image, float32 with channels last.
        logits: place of the logits, float32.
    """

    target: Target
    steps: tuple[Step, ...]
    units: tuple[int, ...]
    places: tuple[Mapping[str, int], ...]
    memory: tuple[MemoryUse, ...]
    arena: int
    scratch: int
    image: int
    logits: int

    def live_bytes(self) -> list[int]:
        """Bytes of the arena that are in use at each step."""
        return [
            sum(use.bytes for use in self.memory if use.first <= step <= use.last)
            for step in range(len(self.steps))
        ]


def make_program(graph: Graph, target: Target) -> Program:
    """Lower a network, order its steps, and give each map a place in the arena."""
    lowered = [
        (step, index)
        for index, unit in enumerate(make_schedule(graph))
        for step in unit_steps(graph, unit, target)
    ]
    steps = [step for step, _ in lowered]
    order = in_little_memory(steps, _value_bytes(graph, steps))
    steps = [steps[index] for index in order]
    units = [lowered[index][1] for index in order]
    memory, arena = _memory(graph, steps, target)
    of_value = {value: use.place for use in memory for value in use.values}
    of_step = {use.first: use.place for use in memory if not use.values}
    places = [
        {role: of_value[value] for role, value in step.maps.items()}
        | ({"scratch": of_step[index]} if index in of_step else {})
        for index, step in enumerate(steps)
    ]
    return Program(
        target,
        tuple(steps),
        tuple(units),
        tuple(places),
        memory,
        arena,
        max(step.scratch for step in steps),
        of_value[0],
        of_value[len(graph.nodes)],
    )


def _memory(
    graph: Graph, steps: Sequence[Step], target: Target
) -> tuple[tuple[MemoryUse, ...], int]:
    """What lies where in the arena, and the size of the arena."""
    sizes = _value_bytes(graph, steps)
    first, last = _lifetimes(graph, steps)
    shared = _shared(steps, sizes, last)
    parts = [
        (
            tuple(values),
            Lifetime(
                _aligned(sizes[values[0]], target),
                min(first[value] for value in values),
                max(last[value] for value in values),
            ),
        )
        for values in shared
    ]
    if target.scratch_in_arena:
        parts += [
            ((), Lifetime(_aligned(step.scratch, target), index, index))
            for index, step in enumerate(steps)
            if step.scratch
        ]
    placed = place([lifetime for _, lifetime in parts])
    uses = [
        MemoryUse(values, at, lifetime.bytes, lifetime.first, lifetime.last)
        for (values, lifetime), at in zip(parts, placed.places, strict=True)
    ]
    return tuple(uses), placed.bytes


def _value_bytes(graph: Graph, steps: Sequence[Step]) -> dict[int, int]:
    sizes = {0: 4 * math.prod(graph.image)}
    for step in steps:
        for role, value in step.maps.items():
            shape = graph.shape(value)
            if role == "real":
                sizes[value] = 4 * math.prod(shape)
            elif role == "signs":
                sizes[value] = math.prod(shape[:-1]) * sign_bytes(shape[-1])
    return sizes


def _lifetimes(graph: Graph, steps: Sequence[Step]) -> tuple[dict[int, int], dict[int, int]]:
    """The first step that writes each value, and the last step that uses it."""
    first, last = {0: 0}, {0: 0}
    for index, step in enumerate(steps):
        for value in step.writes:
            first.setdefault(value, index)
        for value in (*step.reads, *step.writes):
            last[value] = index
    last[len(graph.nodes)] = len(steps) - 1
    return first, last


def _shared(
    steps: Sequence[Step], sizes: Mapping[int, int], last: Mapping[int, int]
) -> list[list[int]]:
    """Groups of values that share memory: a step writes one over another that nothing reads later.

    A step reads each number before it writes the one at the same place.
    """
    groups: dict[int, list[int]] = {0: [0]}
    for index, step in enumerate(steps):
        allowed = IN_PLACE.get(step.operation, ())
        for value in step.writes:
            if value in groups:
                continue
            over = [
                other
                for role, other in step.maps.items()
                if role in allowed
                and last[other] == index
                and step.maps.get("real") == value
                and sizes[other] == sizes[value]
                and all(role in allowed for role, each in step.maps.items() if each == other)
            ]
            groups[value] = groups[over[0]] if over else []
            groups[value].append(value)
    return list({id(group): group for group in groups.values()}.values())


def _aligned(count: int, target: Target) -> int:
    return -(-count // target.alignment) * target.alignment
