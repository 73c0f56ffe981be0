"""The order of rows against the best order, which is found by trying all of them."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from ir2search.export import candidate_graph
from ir2search.runtime import Graph, GraphBuilder
from ir2search.runtime.lowering import MICROCONTROLLER, Step
from ir2search.runtime.maps import Maps, maps_of
from ir2search.runtime.program import make_program
from ir2search.runtime.rows import Rows, in_rows, rows_read, whole
from ir2search.zoo import named_candidate

Piece = tuple[int, int]
State = tuple[int, ...]  # rows that each step has made


def touched(step: Step, row: int, maps: Maps) -> set[Piece]:
    values = [*rows_read(step, row), *((value, row) for value in step.writes)]
    return {(maps.block[value], place) for value, place in values}


class Memory:
    """Which rows are in memory, from the definition: touched before and touched later."""

    def __init__(self, steps: list[Step], maps: Maps) -> None:
        self.steps, self.maps = steps, maps
        self.rows = [step.numbers["rows"] for step in steps]
        self.pieces = [
            [touched(step, row, maps) for row in range(count)]
            for step, count in zip(steps, self.rows, strict=True)
        ]
        self.writers: dict[Piece, list[Piece]] = defaultdict(list)
        self.readers: dict[Piece, list[Piece]] = defaultdict(list)
        for index, step in enumerate(steps):
            for row in range(self.rows[index]):
                for value in step.writes:
                    self.writers[value, row].append((index, row))
                for piece in rows_read(step, row):
                    self.readers[piece].append((index, row))

    def can_run(self, state: State, index: int) -> bool:
        row, step = state[index], self.steps[index]
        before = [each for piece in rows_read(step, row) for each in self.writers[piece]]
        for value in step.writes:
            over = self.maps.over[value]
            before += self.readers[over, row] if over is not None else []
        return all(
            state[other] > place for other, place in before if (other, place) != (index, row)
        )

    def used(self, state: State, index: int) -> int:
        """Bytes while the next row of a step runs."""
        here = self.pieces[index][state[index]]
        before, after = set(here), set(here) | {(self.maps.block[self.maps.logits], 0)}
        for other, pieces in enumerate(self.pieces):
            before.update(*pieces[: state[other]])
            after.update(*pieces[state[other] :])
        return sum(self.maps.row_bytes[block] for block, _ in before & after)

    def peak(self, order: list[Rows]) -> int:
        state, most = [0] * len(self.steps), 0
        for rows in order:
            for _ in range(rows.first, rows.last):
                assert self.can_run(tuple(state), rows.step)
                most = max(most, self.used(tuple(state), rows.step))
                state[rows.step] += 1
        assert state == self.rows
        return most

    def best_peak(self) -> int:
        """The smallest peak of all orders."""
        best: dict[State, int] = {(0,) * len(self.steps): 0}
        for _ in range(sum(self.rows)):
            following: dict[State, int] = {}
            for state, most in best.items():
                for index, count in enumerate(self.rows):
                    if state[index] < count and self.can_run(state, index):
                        more = (*state[:index], state[index] + 1, *state[index + 1 :])
                        peak = max(most, self.used(state, index))
                        following[more] = min(peak, following.get(more, peak))
            best = following
        return best[tuple(self.rows)]


def chain(height: int, layers: list[tuple[int, int, int]], shortcuts: bool) -> Graph:
    """Convolutions of 3 x 3: outputs, stride, and whether the sum is tapped by a pooling."""
    builder = GraphBuilder((2, height, 2))
    value, channels, taps = 0, 2, []
    for outputs, stride, tapped in layers:
        shape = outputs, channels, 3, 3
        tensors = {"weight": np.ones(shape, np.float32)}
        made = builder.add(
            "conv", [value], tensors=tensors, size=3, stride=stride, padding=1, outputs=outputs,
            groups=1,
        )  # fmt: skip
        if shortcuts and builder.shape(made) == builder.shape(value) and value:
            made = builder.add("add", [made, value])
        value, channels = made, outputs
        if tapped:
            taps.append(builder.add("adaptive_pool", [value], height=1, width=1))
    last = builder.add("adaptive_pool", [value], height=1, width=1)
    joined = builder.add("concat", [last, *taps])
    flat = builder.add("flatten", [joined])
    count = builder.shape(flat)[0]
    head = {"weight": np.ones((2, count), np.float32), "bias": np.ones(2, np.float32)}
    builder.add("linear", [flat], tensors=head, outputs=2)
    return builder.graph()


LAYERS = [
    [(outputs, 1, tapped), (2, stride, False)]
    for outputs, tapped, stride in itertools.product((1, 4), (False, True), (1, 2))
] + [[(2, 1, False), (2, 1, False), (4, 2, False)], [(2, 1, True), (2, 1, False), (1, 1, False)]]


def test_the_order_of_rows_is_the_best_one_or_close_to_it_in_small_networks() -> None:
    ratios, gains = [], []
    for height, layers, shortcuts in itertools.product((3, 4), LAYERS, (False, True)):
        graph = chain(height, layers, shortcuts)
        steps = list(make_program(graph, MICROCONTROLLER).steps)
        maps = maps_of(graph, steps)
        memory = Memory(steps, maps)
        one_by_one, *peaks = (memory.peak(each) for each in (whole(steps), *in_rows(steps, maps)))
        found = min(one_by_one, *peaks)
        ratios.append(found / memory.best_peak())
        gains.append(one_by_one / found)
    assert min(ratios) == 1, "no order is better than the best"
    assert np.mean(np.array(ratios) == 1) >= 0.8
    assert max(ratios) < 1.25
    assert max(gains) > 1.1


@pytest.mark.parametrize("name", ["digits-27k", "digits-63k", "cifar10-resnet20"])
def test_every_row_runs_once_after_the_rows_that_it_reads(name: str) -> None:
    graph = candidate_graph(named_candidate(name))
    steps = list(make_program(graph, MICROCONTROLLER).steps)
    maps = maps_of(graph, steps)
    memory = Memory(steps, maps)
    for order in in_rows(steps, maps):
        state = [0] * len(steps)
        for rows in order:
            for row in range(rows.first, rows.last):
                assert state[rows.step] == row
                assert memory.can_run(tuple(state), rows.step)
                state[rows.step] += 1
        assert state == memory.rows


def test_a_residual_network_on_cifar10_fits_64_kb() -> None:
    """One map of its first stage alone has 65,536 bytes."""
    program = make_program(candidate_graph(named_candidate("cifar-resnet20")), MICROCONTROLLER)
    assert program.arena < 64_000
