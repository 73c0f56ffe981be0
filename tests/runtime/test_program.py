from __future__ import annotations

import importlib
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.kernels.inference import Form, Operation
from ir2search.runtime import Graph, GraphBuilder
from ir2search.runtime.lowering import MICROCONTROLLER, Target
from ir2search.runtime.maps import value_bytes
from ir2search.runtime.program import Place, Program, make_program
from ir2search.runtime.rows import rows_read

program_module = importlib.import_module("ir2search.runtime.program")

COMPUTER = Target(lanes=16, alignment=64, copied_bytes=2**15, is_microcontroller=False)
NETWORKS = {
    "resnet": ir.Candidate(depth=8, image=(3, 8, 8), taps=(), fusion="none"),
    "recovery": ir.Candidate(depth=8, image=(3, 8, 8), activation="rprelu"),
    "vgg": ir.Candidate(
        backbone="cifar-vgg", depth=7, image=(3, 16, 16), width=0.1, taps=(), fusion="none"
    ),
    "groups": ir.Candidate(depth=8, kernels=(1, 3, 5), groups=(2, 4, 1), image=(3, 9, 8)),
    "thermometer": ir.Candidate(depth=8, stem="thermometer", image=(3, 8, 8)),
    "pixels of 8 bits": ir.Candidate(depth=8, stem="int8", image=(3, 8, 8)),
}


@pytest.mark.parametrize("target", [COMPUTER, MICROCONTROLLER])
@pytest.mark.parametrize("name", NETWORKS)
def test_memory_that_is_in_use_is_not_given_away(name: str, target: Target) -> None:
    """Follow the program row by row: what a row reads is still there."""
    graph = candidate_graph(NETWORKS[name])
    program = make_program(graph, target)
    sizes = {
        value: size // rows_of(graph, value)
        for value, size in value_bytes(graph, program.steps).items()
    }
    holds: dict[int, tuple[int, int]] = {}  # value and row by byte of the arena

    def where(place: Place, value: int, row: int) -> range:
        start = place.first + row * sizes[value] if place.rows is None else place.rows[row]
        return range(start, start + sizes[value], 4)

    def fill(span: range, value: int, row: int) -> None:
        assert span.stop <= program.arena + 3
        holds.update(dict.fromkeys(span, (value, row)))

    if target == COMPUTER:
        for row in range(graph.image[0]):
            fill(where(Place(program.image), 0, row), 0, row)
    made = Counter[int]()
    for rows in program.order:
        step, places = program.steps[rows.step], program.places[rows.step]
        assert rows.first == made[rows.step]
        made[rows.step] = rows.last
        by_value = {value: places[role] for role, value in step.maps.items()}
        for row in range(rows.first, rows.last):
            if target == MICROCONTROLLER and step.scratch:
                at = places["scratch"].first
                fill(range(at, at + step.scratch, 4), -1, row)
            for value, other in rows_read(step, row):
                span = where(by_value[value], value, other)
                assert all(holds[at] == (value, other) for at in span)
            for value in step.writes:
                fill(where(by_value[value], value, row), value, row)
    assert all(made[index] == step.numbers["rows"] for index, step in enumerate(program.steps))
    logits = len(graph.nodes)
    assert all(holds[at] == (logits, 0) for at in where(Place(program.logits), logits, 0))
    assert all(use.place + use.bytes <= program.arena for use in program.memory)


def rows_of(graph: Graph, value: int) -> int:
    shape = graph.shape(value)
    return shape[0] if len(shape) == 3 else 1


@pytest.mark.parametrize("target", [COMPUTER, MICROCONTROLLER])
def test_a_sum_is_written_over_its_shortcut(target: Target) -> None:
    graph = candidate_graph(NETWORKS["resnet"])
    program = make_program(graph, target)
    sums = [
        (step, places)
        for step, places in zip(program.steps, program.places, strict=True)
        if step.form & Form.SHORTCUT
    ]
    assert len(sums) == 6
    assert all(places["real"] == places["shortcut"] for _, places in sums)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_take_less_memory_than_whole_maps(name: str) -> None:
    graph = candidate_graph(NETWORKS[name])
    by_rows, whole = make_program(graph, MICROCONTROLLER), make_program(graph, COMPUTER)
    assert by_rows.arena < whole.arena
    assert len(by_rows.order) > len(by_rows.steps)
    live = by_rows.live_bytes()
    assert len(live) == len(by_rows.order)
    assert max(live) == max(by_rows.live_bytes_by_step()) <= by_rows.arena <= 1.1 * max(live)


def test_a_network_with_very_many_rows_runs_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = candidate_graph(NETWORKS["resnet"])
    monkeypatch.setattr(program_module, "MOST_ROWS", 10)
    program = make_program(graph, MICROCONTROLLER)
    assert [(each.step, each.first) for each in program.order] == [
        (index, 0) for index in range(len(program.steps))
    ]


def test_a_microcontroller_copies_only_the_rows_of_one_output_row() -> None:
    graph = candidate_graph(NETWORKS["resnet"])
    for step in make_program(graph, MICROCONTROLLER).steps:
        if step.scratch:
            assert step.numbers["chunk"] == 1
            line = step.scratch // step.numbers["size"]
            assert line < 1000


def test_a_map_that_its_own_convolution_reads_is_not_overwritten() -> None:
    """The shortcut is the map that the full-precision convolution reads."""
    program = make_program(shortcut_around(), MICROCONTROLLER)
    conv = next(
        index
        for index, step in enumerate(program.steps)
        if step.operation == Operation.CONVOLVE_NUMBERS and step.form & Form.SHORTCUT
    )
    places = program.places[conv]
    assert places["source"] == places["shortcut"] != places["real"]


def shortcut_around() -> Graph:
    builder = GraphBuilder((4, 5, 5))
    weight = np.ones((4, 4, 3, 3), np.float32)
    first = builder.add("hardtanh", [0])
    window = {"size": 3, "stride": 1, "padding": 1, "outputs": 4, "groups": 1}
    value = builder.add("conv", [first], tensors={"weight": weight}, **window)
    value = builder.add("add", [value, first])
    value = builder.add("flatten", [value])
    head = {"weight": np.ones((2, 100), np.float32), "bias": np.ones(2, np.float32)}
    builder.add("linear", [value], tensors=head, outputs=2)
    return builder.graph()


def test_signs_that_only_a_convolution_reads_are_made_by_limits() -> None:
    graph = candidate_graph(
        ir.Candidate(backbone="cifar-basic-resnet", depth=18, image=(3, 8, 8), width=0.1)
    )
    program = make_program(graph, COMPUTER)
    assert sum(step.form == Form.LIMITS for step in program.steps) == 8


def test_places_of_a_batch_do_not_overlap() -> None:
    """Each place and size is multiplied by the number of images."""
    program = make_program(candidate_graph(replace(NETWORKS["recovery"], width=0.3)), COMPUTER)
    together = [
        (one, other)
        for one, other in itertools.combinations(program.memory, 2)
        if one.first <= other.last and other.first <= one.last
    ]
    for one, other in together:
        low, high = sorted((one, other), key=lambda use: use.place)
        assert 7 * low.place + 7 * low.bytes <= 7 * high.place


def test_the_program_of_a_deep_network_is_made_quickly() -> None:
    program: Program = make_program(candidate_graph(ir.Candidate(depth=110, width=0.1)), COMPUTER)
    assert len(program.steps) > 100
