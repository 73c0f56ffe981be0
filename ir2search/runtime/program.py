"""A network as a program for the C runtime: steps over one block of memory, the arena.

A program is the same on a computer and on a microcontroller, apart from what its `Target` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ir2search.runtime.arena import Lifetime, live_bytes, place
from ir2search.runtime.graph import Graph
from ir2search.runtime.lowering import Step, Target, pixels_step, unit_steps
from ir2search.runtime.maps import Maps, maps_of, value_bytes
from ir2search.runtime.order import in_little_memory
from ir2search.runtime.rows import Rows, in_rows, rows_read, whole
from ir2search.runtime.schedule import make_schedule

MOST_ROWS = 5_000  # of all steps; larger networks run step by step
NO_UNIT = -1  # the unit of the step that reads the pixels


@dataclass(frozen=True)
class Place:
    """Where a map is in the arena, in bytes.

    Attributes:
        first: the first row.
        rows: all rows; None if they follow each other.
    """

    first: int
    rows: tuple[int, ...] | None = None


@dataclass(frozen=True)
class MemoryUse:
    """Memory of the arena that is in use for a time.

    Attributes:
        values: values of the graph that lie there in turn; none for copies of rows.
        row: the row of these values; None for whole maps.
        place: the first byte.
        bytes: size for one image.
        first: when it begins, an index of ``order``.
        last: when it ends; still in use then.
    """

    values: tuple[int, ...]
    row: int | None
    place: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Program:
    """Steps that run a network.

    Attributes:
        steps: the operations; each comes after those that it reads.
        units: the unit of the schedule that each step belongs to, or NO_UNIT.
        order: what runs, in order. On a computer, one step after the other.
        places: for each step, places of its maps in the arena, for one image. A batch of n images
            needs n times the arena, and each place is multiplied by n.
        memory: what lies where in the arena, and when.
        arena: bytes of the arena for one image.
        scratch: the most bytes that a step needs for copies of rows.
        image: place of the image, float32 with channels last; on a computer.
        logits: place of the logits, float32.
    """

    steps: tuple[Step, ...]
    units: tuple[int, ...]
    order: tuple[Rows, ...]
    places: tuple[Mapping[str, Place], ...]
    memory: tuple[MemoryUse, ...]
    arena: int
    scratch: int
    image: int
    logits: int

    def live_bytes(self) -> list[int]:
        """Bytes of the arena that are in use at each place of ``order``."""
        lifetimes = [Lifetime(use.bytes, use.first, use.last) for use in self.memory]
        return live_bytes(lifetimes, len(self.order))

    def live_bytes_by_step(self) -> list[int]:
        """The most bytes of the arena that are in use while a step runs."""
        most = [0] * len(self.steps)
        for rows, live in zip(self.order, self.live_bytes(), strict=True):
            most[rows.step] = max(most[rows.step], live)
        return most


def make_program(graph: Graph, target: Target) -> Program:
    """Lower a network, order its steps, and give each map a place in the arena.

    A microcontroller runs rows of several steps in turn if the arena is smaller then.
    """
    steps, units = _ordered_steps(graph, target)
    maps = maps_of(graph, steps)
    layouts = [_layout(steps, maps, whole(steps), target, by_rows=False)]
    if target.is_microcontroller and sum(step.numbers["rows"] for step in steps) <= MOST_ROWS:
        layouts += [
            _layout(steps, maps, order, target, by_rows=True) for order in in_rows(steps, maps)
        ]
    layout = min(layouts, key=lambda each: each.arena)
    return Program(
        tuple(steps),
        tuple(units),
        tuple(layout.order),
        tuple(layout.places_of(index, step) for index, step in enumerate(steps)),
        layout.memory,
        layout.arena,
        max(step.scratch for step in steps),
        layout.place(0).first,
        layout.place(maps.logits).first,
    )


def _ordered_steps(graph: Graph, target: Target) -> tuple[list[Step], list[int]]:
    """All steps in an order that needs little memory, and the unit of each."""
    lowered = [
        (step, index)
        for index, unit in enumerate(make_schedule(graph))
        for step in unit_steps(graph, unit, target)
    ]
    if target.is_microcontroller:
        lowered.insert(0, (pixels_step(graph), NO_UNIT))
    steps = [step for step, _ in lowered]
    order = in_little_memory(steps, value_bytes(graph, steps))
    return [steps[index] for index in order], [lowered[index][1] for index in order]


_Key = tuple[int, int | None]  # a block of `Maps` and a row of it; None for the whole block
_COPIES = -1  # in place of a block: copies of rows


@dataclass(frozen=True)
class _Layout:
    """An order of rows, and where everything lies while they run.

    Attributes:
        maps: of the program.
        order: what runs.
        lifetimes: of blocks or their rows, and of copies of rows.
        places: of the same.
        arena: size of the arena.
        copies: for each step that copies rows, the number of the memory that they are copied to.
    """

    maps: Maps
    order: Sequence[Rows]
    lifetimes: Mapping[_Key, Lifetime]
    places: Mapping[_Key, int]
    arena: int
    copies: Mapping[int, int]

    @property
    def memory(self) -> tuple[MemoryUse, ...]:
        """What lies where, and when."""
        return tuple(
            MemoryUse(self.maps.sharing(block), row, at, life.bytes, life.first, life.last)
            for ((block, row), life), at in zip(
                self.lifetimes.items(), self.places.values(), strict=True
            )
        )

    def place(self, value: int) -> Place:
        """The place of a map."""
        block, size = self.maps.block[value], self.maps.row_bytes[value]
        if (block, None) in self.places:
            return Place(self.places[block, None])
        rows = tuple(self.places[block, row] for row in range(self.maps.rows[value]))
        follow_each_other = all(at == rows[0] + row * size for row, at in enumerate(rows))
        return Place(rows[0], None if follow_each_other else rows)

    def places_of(self, index: int, step: Step) -> dict[str, Place]:
        """The places of all that a step reads and writes."""
        found = {role: self.place(value) for role, value in step.maps.items()}
        if index in self.copies:
            found["scratch"] = Place(self.places[_COPIES, self.copies[index]])
        return found


def _layout(
    steps: Sequence[Step], maps: Maps, order: Sequence[Rows], target: Target, *, by_rows: bool
) -> _Layout:
    """Place all maps, as a whole or row by row."""
    lifetimes: dict[_Key, Lifetime] = {}
    for (block, row), (first, last) in _spans(steps, maps, order, by_rows).items():
        size = maps.row_bytes[block] * (maps.rows[block] if row is None else 1)
        lifetimes[block, row] = Lifetime(_aligned(size, target), first, last)
    copies: dict[int, int] = {}
    if target.is_microcontroller:
        together = _copies(steps, order, target)
        for number, (life, users) in enumerate(together):
            lifetimes[_COPIES, number] = life
            copies |= dict.fromkeys(users, number)
    placed = place(list(lifetimes.values()))
    places = dict(zip(lifetimes, placed.places, strict=True))
    return _Layout(maps, order, lifetimes, places, placed.bytes, copies)


def _spans(
    steps: Sequence[Step], maps: Maps, order: Sequence[Rows], by_rows: bool
) -> dict[_Key, tuple[int, int]]:
    """For each block or its rows, where in the order it is first and last in use."""
    spans: dict[_Key, tuple[int, int]] = {}
    for at, rows in enumerate(order):
        for value, row in _touched(steps[rows.step], rows, by_rows):
            key = maps.block[value], row
            spans[key] = spans.get(key, (at, at))[0], at
    key = maps.block[maps.logits], 0 if by_rows else None
    spans[key] = spans[key][0], len(order) - 1
    return spans


def _touched(step: Step, rows: Rows, by_rows: bool) -> Iterator[_Key]:
    """The maps that rows of a step read and write, or the rows of these maps."""
    if not by_rows:
        yield from ((value, None) for value in (*step.reads, *step.writes))
        return
    for row in range(rows.first, rows.last):
        yield from rows_read(step, row)
        yield from ((value, row) for value in step.writes)


def _copies(
    steps: Sequence[Step], order: Sequence[Rows], target: Target
) -> list[tuple[Lifetime, list[int]]]:
    """Memory for copies of rows, with the steps that use it; steps that run in turn share it."""
    spans: dict[int, tuple[int, int]] = {}
    for at, rows in enumerate(order):
        if steps[rows.step].scratch:
            spans[rows.step] = spans.get(rows.step, (at, at))[0], at
    found: list[tuple[Lifetime, list[int]]] = []
    for step, (first, last) in spans.items():
        life, users = Lifetime(_aligned(steps[step].scratch, target), first, last), [step]
        if found and first <= found[-1][0].last:
            (before, others) = found.pop()
            size, end = max(before.bytes, life.bytes), max(before.last, last)
            life, users = Lifetime(size, before.first, end), [*others, step]
        found.append((life, users))
    return found


def _aligned(count: int, target: Target) -> int:
    return -(-count // target.alignment) * target.alignment
