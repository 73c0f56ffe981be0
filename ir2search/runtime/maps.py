"""The maps of a program: their sizes, and which of them share memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ir2search.kernels.inference import Operation
from ir2search.runtime.graph import Graph
from ir2search.runtime.lowering import Step
from ir2search.runtime.weights import sign_bytes

IN_PLACE = {  # operations that may write their result over what they read, by what they read
    Operation.POINTWISE: ("source", "shortcut"),
    Operation.EIGHT_BITS: ("source",),
    Operation.CONVOLVE_SIGNS: ("shortcut",),
    Operation.CONVOLVE_NUMBERS: ("shortcut",),
}


@dataclass(frozen=True)
class Maps:
    """The maps of a program, by value of the graph.

    Attributes:
        rows: number of rows of a map.
        row_bytes: size of a row.
        over: the value whose memory this one takes over, row by row; None if it takes none.
        block: the first value in the same memory; the value itself if it was the first.
        logits: the value that is needed at the end.
    """

    rows: Mapping[int, int]
    row_bytes: Mapping[int, int]
    over: Mapping[int, int | None]
    block: Mapping[int, int]
    logits: int

    def sharing(self, block: int) -> tuple[int, ...]:
        """The values that lie in a block of memory in turn."""
        return tuple(value for value, own in self.block.items() if own == block)


def value_bytes(graph: Graph, steps: Sequence[Step]) -> dict[int, int]:
    """Size of each map in bytes."""
    sizes = {0: 4 * math.prod(graph.image)}
    for step in steps:
        for role, value in step.maps.items():
            shape = graph.shape(value)
            if role == "real":
                sizes[value] = 4 * math.prod(shape)
            elif role == "signs":
                sizes[value] = math.prod(shape[:-1]) * sign_bytes(shape[-1])
    return sizes


def maps_of(graph: Graph, steps: Sequence[Step]) -> Maps:
    """The maps of steps in order."""
    sizes = value_bytes(graph, steps)
    shapes = {value: graph.shape(value) for value in sizes}
    rows = {value: shape[0] if len(shape) == 3 else 1 for value, shape in shapes.items()}
    over = _overwritten(steps, sizes)
    block: dict[int, int] = {}
    for value, other in over.items():  # a value comes after the one that it is written over
        block[value] = value if other is None else block[other]
    row_bytes = {value: sizes[value] // rows[value] for value in sizes}
    return Maps(rows, row_bytes, over, block, len(graph.nodes))


def _overwritten(steps: Sequence[Step], sizes: Mapping[int, int]) -> dict[int, int | None]:
    """For each value, the one that it is written over: its step is the last to read it.

    A step reads each number before it writes the one at the same place.
    """
    last = {value: index for index, step in enumerate(steps) for value in step.reads}
    over: dict[int, int | None] = {0: None}
    for index, step in enumerate(steps):
        allowed = IN_PLACE.get(step.operation, ())
        for value in step.writes:
            if value in over:
                continue
            found = [
                other
                for role, other in step.maps.items()
                if role in allowed
                and last[other] == index
                and step.maps.get("real") == value
                and sizes[other] == sizes[value]
                and all(role in allowed for role, each in step.maps.items() if each == other)
            ]
            over[value] = found[0] if found else None
    return over
