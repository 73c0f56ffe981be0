"""A plan's units as calls of the loops, with weights laid out and memory shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ir2search.engine import kernels, layout
from ir2search.engine.graph import Array, Graph, Node, Shape
from ir2search.engine.kernels import (
    HARDTANH,
    IDENTITY,
    LIMITS,
    NORM,
    PRELU,
    REAL,
    SHORTCUT,
    SIGNS,
    Floats,
    Ints,
    Words,
)
from ir2search.engine.plan import Unit
from ir2search.engine.tiles import POSITIONS

LARGEST_TABLE = 2**24  # sums times channels that limits are looked for in
_NO_FLOATS: Floats = np.zeros(0, np.float32)
_NO_WORDS: Words = np.zeros(0, np.uint64)

Maps = Mapping[int, Array]
Loop = Callable[..., object]


@dataclass(frozen=True)
class Call:
    """One loop with all that it takes.

    Attributes:
        loop: takes where to start and to stop, and then ``arguments``.
        count: positions in all.
        arguments: the rest.
    """

    loop: Loop
    count: int
    arguments: tuple[Any, ...]


Bind = Callable[[int, Maps], Call]


def make_step(graph: Graph, unit: Unit) -> Bind:
    """What turns a batch size and the maps, flat, into the call for a unit."""
    kind = unit.kind
    if kind in ("conv", "binary_conv", "pointwise"):
        return _sweep(graph, unit)
    assert unit.head is not None
    return _OTHERS[kind](graph, unit.head, unit.real or 0)


def _sweep(graph: Graph, unit: Unit) -> Bind:
    makes = unit.real if unit.real is not None else unit.signs
    assert makes is not None
    shape = graph.shape(makes)
    if (
        unit.kind == "pointwise"
        and unit.sign is not None
        and unit.real is not None
        and (unit.signs is None)
    ):
        return _signs_as_numbers(unit, shape)
    form, vectors, kind = _finish(unit, shape[-1])
    repeated = np.tile(vectors, POSITIONS)
    if unit.kind == "pointwise":
        channels, positions = shape[-1], _positions(shape)

        def bind_pointwise(batch: int, maps: Maps) -> Call:
            ends = _ends(unit, maps)
            given = (maps[unit.source], channels, form, repeated, kind, *ends)
            return Call(kernels.pointwise, batch * positions, given)

        return bind_pointwise
    assert unit.head is not None
    source, head = graph.shape(unit.source), unit.head
    if unit.kind == "conv":
        return _float_sweep(unit, head, source, form, repeated, kind)
    return _binary_sweep(unit, head, source, form, vectors, kind)


def _float_sweep(
    unit: Unit, head: Node, source: Shape, form: int, vectors: Floats, kind: int
) -> Bind:
    weights = layout.float_weights(head, source[2])
    geometry = _geometry(head, source, dense=False)

    def bind(batch: int, maps: Maps) -> Call:
        given = (maps[unit.source], geometry, weights, form, vectors, kind, *_ends(unit, maps))
        return Call(kernels.float_conv, batch * _positions(head.shape), given)

    return bind


def _binary_sweep(
    unit: Unit, head: Node, source: Shape, form: int, vectors: Floats, kind: int
) -> Bind:
    ones = layout.bits(head, source[2])
    weights = layout.binary_weights(ones)
    sums, classes = layout.borders(ones, head, (source[0], source[1]))
    geometry = _geometry(head, source, layout.is_dense(source[2]))
    most = ones[0].size
    found = None
    if not form & (REAL | SHORTCUT) and (2 * most + 1) * len(ones) <= LARGEST_TABLE:
        found = layout.limits(vectors, form, kind, -most, most)
    if found is not None:
        form |= LIMITS
    repeated = np.tile(vectors, POSITIONS)
    table: Ints = np.zeros((2, len(ones)), np.int64) if found is None else found

    def bind(batch: int, maps: Maps) -> Call:
        given = (
            maps[unit.source], geometry, weights, sums, classes, form, repeated, kind,
            *_ends(unit, maps), table,
        )  # fmt: skip
        return Call(kernels.binary_conv, batch * _positions(head.shape), given)

    return bind


def _finish(unit: Unit, channels: int) -> tuple[int, Floats, int]:
    """Form, vectors and activation as `kernels.finish` takes them."""
    vectors = np.zeros((6, channels), np.float32)
    form, kind = 0, IDENTITY
    if unit.norm is not None:
        form |= NORM
        vectors[0], vectors[1] = layout.scale_and_shift(unit.norm)
    if unit.shortcut is not None:
        form |= SHORTCUT
    if unit.activation is not None:
        kind = HARDTANH if unit.activation.op == "hardtanh" else PRELU
        for row, role in ((2, "knee"), (3, "slope"), (4, "rise")):
            vectors[row] = unit.activation.tensors.get(role, 0)
    if unit.real is not None:
        form |= REAL
    if unit.signs is not None:
        form |= SIGNS
    if unit.sign is not None:
        vectors[5] = unit.sign.tensors.get("threshold", 0)
    return form, vectors, kind


def _ends(unit: Unit, maps: Maps) -> tuple[Floats, Floats, Words]:
    shortcut = maps[unit.shortcut] if unit.shortcut is not None else _NO_FLOATS
    real = maps[unit.real] if unit.real is not None else _NO_FLOATS
    signs = maps[unit.signs] if unit.signs is not None else _NO_WORDS
    return shortcut, real, signs


def _geometry(node: Node, source: Shape, dense: bool) -> Ints:
    height, width, channels = source
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    rows, columns, outputs = node.shape
    return np.array(
        [channels, height, width, outputs, size, stride, padding, rows, columns, dense], np.int64
    )


def _positions(shape: Shape) -> int:
    return shape[0] * shape[1] if len(shape) == 3 else 1


def _signs_as_numbers(unit: Unit, shape: Shape) -> Bind:
    assert unit.sign is not None
    assert unit.real is not None
    least = unit.sign.tensors.get("threshold", np.zeros(shape[-1], np.float32))
    target = unit.real

    def bind(batch: int, maps: Maps) -> Call:
        x, out = (maps[value].reshape(batch, *shape) for value in (unit.source, target))
        return Call(lambda *_: np.copyto(out, np.where(x >= least, 1, -1)), 1, ())

    return bind


def _pool(graph: Graph, node: Node, value: int) -> Bind:
    source = graph.shape(node.inputs[0])
    height, width, channels = source
    rows, columns, _ = node.shape
    windows = np.concatenate(
        [layout.windows(node, height, rows), layout.windows(node, width, columns)], axis=1
    )
    geometry = np.array([channels, height, width, rows, columns], np.int64)

    def bind(batch: int, maps: Maps) -> Call:
        given = (maps[node.inputs[0]], geometry, windows, node.op != "max_pool", maps[value])
        return Call(kernels.pool, batch * rows * columns, given)

    return bind


def _subsample(graph: Graph, node: Node, value: int) -> Bind:
    source = graph.shape(node.inputs[0])
    rows, columns, wide = node.shape
    stride, before = node.numbers["stride"], node.numbers["before"]
    geometry = _placing(source, (rows, columns), stride, source[2], wide, before)

    def loop(start: int, stop: int, x: Floats, real: Floats) -> None:
        real[start * wide : stop * wide] = 0
        kernels.place(start, stop, x, geometry, real)

    return lambda batch, maps: Call(
        loop, batch * rows * columns, (maps[node.inputs[0]], maps[value])
    )


def _placing(
    source: Shape, sides: tuple[int, int], stride: int, taken: int, wide: int, offset: int
) -> Ints:
    height, width, channels = source
    values = (channels, height, width, *sides, stride, taken, wide, offset)
    return np.array(values, np.int64)


def _concat(graph: Graph, node: Node, value: int) -> Bind:
    rows, columns, wide = node.shape
    parts, offset = [], 0
    for each in node.inputs:
        source = graph.shape(each)
        taken = min(source[2], wide - offset)
        parts.append((each, _placing(source, (rows, columns), 1, taken, wide, offset)))
        offset += taken

    def bind(batch: int, maps: Maps) -> Call:
        given = [(maps[each], geometry) for each, geometry in parts]

        def loop(start: int, stop: int) -> None:
            for x, geometry in given:
                kernels.place(start, stop, x, geometry, maps[value])

        return Call(loop, batch * rows * columns, ())

    return bind


def _flatten(graph: Graph, node: Node, value: int) -> Bind:
    """Channel by channel, as the training graph has it."""
    height, width, channels = graph.shape(node.inputs[0])

    def bind(batch: int, maps: Maps) -> Call:
        x = maps[node.inputs[0]].reshape(batch, height * width, channels).transpose(0, 2, 1)
        out = maps[value].reshape(batch, channels, height * width)
        return Call(lambda *_: np.copyto(out, x), 1, ())

    return bind


def _linear(graph: Graph, node: Node, value: int) -> Bind:
    weights, bias = np.ascontiguousarray(node.tensors["weight"].T), node.tensors["bias"]

    def bind(batch: int, maps: Maps) -> Call:
        x, out = maps[node.inputs[0]].reshape(batch, -1), maps[value].reshape(batch, -1)

        def loop(start: int, stop: int) -> None:
            np.matmul(x, weights, out=out)
            np.add(out, bias, out=out)

        return Call(loop, 1, ())

    return bind


_OTHERS: dict[str, Callable[[Graph, Node, int], Bind]] = {
    "max_pool": _pool,
    "avg_pool": _pool,
    "adaptive_pool": _pool,
    "subsample": _subsample,
    "concat": _concat,
    "cut": _concat,
    "flatten": _flatten,
    "linear": _linear,
}
