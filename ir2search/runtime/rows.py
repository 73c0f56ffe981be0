"""Run a network row by row: a step begins before the steps that it reads have ended.

Few rows of large maps are then in memory at a time.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ir2search.kernels.inference import Form, Operation
from ir2search.runtime.lowering import Step
from ir2search.runtime.maps import Maps
from ir2search.runtime.order import greedy_order

WINDOWS = (
    Operation.CONVOLVE_SIGNS, Operation.CONVOLVE_NUMBERS, Operation.POOL_MEAN, Operation.POOL_MAX,
    Operation.POOL_SIGNS,
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Output rows of a step that run without another step between them.

    Attributes:
        step: index of the step.
        first: the first row.
        last: the row after the last one.
    """

    step: int
    first: int
    last: int


def whole(steps: Sequence[Step]) -> list[Rows]:
    """One step after the other."""
    return [Rows(index, 0, step.numbers["rows"]) for index, step in enumerate(steps)]


def in_rows(steps: Sequence[Step], maps: Maps) -> list[list[Rows]]:
    """Orders of rows in which few rows are in memory at a time; which is best depends on the maps.

    Both orders first run rows that do not increase the memory in use. If there are none, one order
    takes the row that adds the least memory. The other takes the next row that the logits need, so
    that no row is made before another row needs it.

    Args:
        steps: in an order that can be run.
        maps: what they read and write.
    """
    rows = [
        _Row(index, row, tuple(rows_read(step, row)), tuple((each, row) for each in step.writes))
        for index, step in enumerate(steps)
        for row in range(step.numbers["rows"])
    ]
    needs = _needs(rows, maps)
    demanded = {index: place for place, index in enumerate(_on_demand(needs))}
    found = []
    for urgency in (demanded, None):
        order = _in_little_memory(needs, _Memory(rows, maps), urgency)
        found.append(_joined(rows[index] for index in order))
    return found


def _in_little_memory(
    needs: Sequence[set[int]], memory: _Memory, urgency: Mapping[int, int] | None
) -> list[int]:
    """One of the orders of `in_rows`; the lowest urgency comes first."""

    def next_one(ready: Collection[int]) -> int:
        change, index = min((memory.change(each), each) for each in ready)
        if change > 0 and urgency is not None:
            return min(ready, key=lambda each: urgency[each])
        return index

    return greedy_order(needs, next_one, memory.run)


def rows_read(step: Step, row: int) -> list[tuple[int, int]]:
    """Value and row of each row that a step reads for one of its output rows."""
    if "source" not in step.maps:
        return []
    read = [(step.maps["source"], each) for each in _source_rows(step, row)]
    return read + ([(step.maps["shortcut"], row)] if "shortcut" in step.maps else [])


def _source_rows(step: Step, row: int) -> range:
    numbers = step.numbers
    height = numbers["height"]
    if step.operation == Operation.FLATTEN:
        return range(height)
    if step.form & Form.ADAPTIVE:
        rows = numbers["rows"]
        return range(row * height // rows, -(-(row + 1) * height // rows))
    if step.operation in WINDOWS:
        start = row * numbers["stride"] - numbers["padding"]
        return range(max(start, 0), min(start + numbers["size"], height))
    stride = numbers.get("stride", 1)
    return range(row * stride, row * stride + 1)


_Piece = tuple[int, int]  # a value and a row


@dataclass(frozen=True)
class _Row:
    """One output row of a step, with the rows of maps that it reads and writes."""

    step: int
    row: int
    reads: tuple[_Piece, ...]
    writes: tuple[_Piece, ...]


def _needs(rows: Sequence[_Row], maps: Maps) -> list[set[int]]:
    """For each row, the rows that run before it.

    These are the rows of its own step, the writers of what it reads, and the readers of what it
    overwrites.
    """
    writers, readers = defaultdict[_Piece, list[int]](list), defaultdict[_Piece, list[int]](list)
    for index, row in enumerate(rows):
        for piece in row.writes:
            writers[piece].append(index)
        for piece in row.reads:
            readers[piece].append(index)
    needs = []
    for index, row in enumerate(rows):
        found = {index - 1} if row.row else set()
        found |= {writer for piece in row.reads for writer in writers[piece]}
        for value, place in row.writes:
            other = maps.over[value]
            found |= set(readers[other, place]) if other is not None else set()
        needs.append(found - {index})
    return needs


def _on_demand(needs: Sequence[set[int]]) -> list[int]:
    """All rows in depth-first order from the last one: what a row needs comes just before it."""
    order: list[int] = []
    seen: set[int] = set()
    stack = [(index, False) for index in range(len(needs))]
    while stack:
        index, all_are_there = stack.pop()
        if all_are_there:
            order.append(index)
        elif index not in seen:
            seen.add(index)
            stack.append((index, True))
            stack += [(each, False) for each in sorted(needs[index], reverse=True)]
    return order


class _Memory:
    """The rows of maps that are in memory, and how often each has yet to be touched."""

    def __init__(self, rows: Sequence[_Row], maps: Maps) -> None:
        self._bytes = maps.row_bytes
        self._pieces = [
            {(maps.block[value], place) for value, place in (*row.reads, *row.writes)}
            for row in rows
        ]
        self._left = Counter(piece for pieces in self._pieces for piece in pieces)
        self._left[maps.block[maps.logits], 0] += 1
        self._held: set[_Piece] = set()

    def change(self, index: int) -> int:
        """How many more bytes are in use after a row; below 0 if it frees memory."""
        bytes_of, held, left, found = self._bytes, self._held, self._left, 0
        for piece in self._pieces[index]:
            found += bytes_of[piece[0]] * ((piece not in held) - (left[piece] == 1))
        return found

    def run(self, index: int) -> None:
        """Update what is in memory after a row."""
        pieces = self._pieces[index]
        self._left.subtract(pieces)
        self._held |= pieces
        self._held -= {piece for piece in pieces if not self._left[piece]}


def _joined(rows: Iterable[_Row]) -> list[Rows]:
    """Rows of one step that follow each other, together."""
    found = []
    for step, group in itertools.groupby(rows, key=lambda row: row.step):
        numbers = [row.row for row in group]
        found.append(Rows(step, numbers[0], numbers[-1] + 1))
    return found
