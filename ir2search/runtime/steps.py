"""A plan's units as calls of the loops, with weights laid out and memory shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ir2search.runtime import kernels, layout, tiles
from ir2search.runtime.graph import Array, Graph, Node, Shape
from ir2search.runtime.kernels import Floats
from ir2search.runtime.schedule import Unit

LARGEST_TABLE = 2**24  # sums times channels that limits are looked for in

# of a block of outputs: for a word of signs, for a number, for what follows or only copies
SECONDS_WORD, SECONDS_NUMBER, SECONDS_BLOCK = 1e-9, 3e-10, 5e-9

Maps = Mapping[int, Array]
Loop = Callable[..., object]
Numbers = dict[int, int]
Arrays = dict[int, Array]


@dataclass(frozen=True)
class Call:
    """One loop with all that it takes.

    Attributes:
        loop: takes where to start and to stop, and then ``arguments``.
        count: positions in all.
        arguments: the rest.
        held: arrays whose addresses are in its frame.
        each: about how many seconds a position takes.
    """

    loop: Loop
    count: int
    arguments: tuple[Any, ...] = ()
    held: tuple[Array, ...] = ()
    each: float = 0.0

    @property
    def seconds(self) -> float:
        """About how long it takes one thread."""
        return self.count * self.each


Bind = Callable[[int, Maps], Call]


def make_step(graph: Graph, unit: Unit) -> Bind:
    """What turns a batch size and the maps, flat, into the call for a unit."""
    if unit.kind == "pointwise":
        if unit.sign is not None and unit.signs is None:
            return _signs_as_numbers(graph, unit)
        return _pointwise(graph, unit)
    if unit.kind in ("conv", "binary_conv"):
        return _convolution(graph, unit)
    assert unit.head is not None
    if unit.signs is not None:
        return _pool_signs(graph, unit)
    return _OTHERS[unit.kind](graph, unit.head, unit.real or 0)


def _pointwise(graph: Graph, unit: Unit) -> Bind:
    shape = graph.shape(unit.makes)
    form, vectors = _finish(unit, shape[-1])
    numbers = {
        kernels.FORM: form,
        kernels.WIDE: vectors.shape[1],
        kernels.OUTPUTS: shape[-1],
    }
    arrays: Arrays = {kernels.VECTORS: vectors}

    def bind(batch: int, maps: Maps) -> Call:
        count, found = batch * _positions(shape), arrays | _ends(unit, maps)
        return _call(kernels.pointwise, count, numbers, found, _seconds(shape))

    return bind


def _convolution(graph: Graph, unit: Unit) -> Bind:
    assert unit.head is not None
    node, source = unit.head, graph.shape(unit.source)
    form, vectors = _finish(unit, node.shape[-1])
    patches = layout.patches(node, source)
    offsets = patches.offsets(node.numbers["size"])
    places = patches.places(node)
    if unit.kind == "binary_conv":
        ones = layout.bits(node, source[2])
        offsets *= 8
        places *= 8
        weights: Array = layout.binary_weights(ones)
        sums, classes = layout.borders(ones, node, (source[0], source[1]))
        most = ones[0].size
        found = None
        if not form & (tiles.REAL | tiles.SHORTCUT) and (2 * most + 1) * len(ones) <= LARGEST_TABLE:
            found = layout.limits(vectors, form, -most, most)
        form |= tiles.COUNTS | (0 if found is None else tiles.LIMITS)
        limits = np.zeros(0, np.int32) if found is None else layout.padded(found)
        borders = layout.padded(sums)
        classes *= 4 * borders.shape[1]
    else:
        offsets *= 4
        places *= 4
        weights = layout.float_weights(node, source[2])
        borders = limits = np.zeros(0, np.int32)
        classes = np.zeros(0, np.int64)
    per_element = SECONDS_WORD if unit.kind == "binary_conv" else SECONDS_NUMBER
    each = _seconds(node.shape, per_element * len(offsets))
    numbers = _geometry(source, node.shape) | {
        kernels.FORM: form,
        kernels.WIDE: vectors.shape[1],
        kernels.SIZE: node.numbers["size"],
        kernels.STRIDE: node.numbers["stride"],
        kernels.PADDING: node.numbers["padding"],
        kernels.IS_BINARY: unit.kind == "binary_conv",
        kernels.LAYING: patches.laying,
        kernels.DEPTH: len(offsets),
        kernels.LINE: patches.line,
    }
    arrays: Arrays = {
        kernels.VECTORS: vectors,
        kernels.OFFSETS: offsets,
        kernels.WEIGHTS: weights,
        kernels.BORDERS: borders,
        kernels.PLACES: places,
        kernels.CLASSES: classes,
        kernels.LIMITS: limits,
    }

    def bind(batch: int, maps: Maps) -> Call:
        count, found = batch * _positions(node.shape), arrays | _ends(unit, maps)
        return _call(kernels.convolve, count, numbers, found, each)

    return bind


def _finish(unit: Unit, channels: int) -> tuple[int, Floats]:
    """Form and vectors as `tiles.finish_tile` takes them."""
    wide = -(-channels // tiles.LANES) * tiles.LANES
    vectors = np.zeros((tiles.VECTORS, wide), np.float32)
    form = 0
    if unit.norm is not None:
        form |= tiles.NORM
        for row, role in ((tiles.SCALE, "scale"), (tiles.SHIFT, "shift")):
            vectors[row, :channels] = unit.norm.tensors[role]
    if unit.shortcut is not None:
        form |= tiles.SHORTCUT
    if unit.activation is not None:
        form |= tiles.HARDTANH if unit.activation.op == "hardtanh" else tiles.PRELU
        for row, role in ((tiles.KNEE, "knee"), (tiles.SLOPE, "slope"), (tiles.RISE, "rise")):
            vectors[row, :channels] = unit.activation.tensors.get(role, 0)
    if unit.real is not None:
        form |= tiles.REAL
    if unit.signs is not None:
        form |= tiles.SIGNS
    if unit.sign is not None:
        vectors[tiles.THRESHOLD, :channels] = unit.sign.tensors.get("threshold", 0)
    return form, vectors


def _ends(unit: Unit, maps: Maps) -> Arrays:
    places = (
        (kernels.SOURCE, unit.source),
        (kernels.SHORTCUT, unit.shortcut),
        (kernels.REAL, unit.real),
        (kernels.TO_SIGNS, unit.signs),
    )
    return {place: maps[value] for place, value in places if value is not None}


def _geometry(source: Shape, shape: Shape) -> Numbers:
    return {
        kernels.HEIGHT: source[0],
        kernels.WIDTH: source[1],
        kernels.CHANNELS: source[2],
        kernels.ROWS: shape[0],
        kernels.COLUMNS: shape[1],
        kernels.OUTPUTS: shape[2],
    }


def _call(loop: Loop, count: int, numbers: Numbers, arrays: Arrays, each: float) -> Call:
    """With a frame of the numbers and of the arrays' addresses."""
    frame = np.zeros(kernels.FRAME, np.int64)
    for at, number in numbers.items():
        frame[at] = number
    for at, array in arrays.items():
        frame[at] = array.ctypes.data
    return Call(loop, count, (frame,), tuple(arrays.values()), each)


def _positions(shape: Shape) -> int:
    return shape[0] * shape[1] if len(shape) == 3 else 1


def _seconds(shape: Shape, more: float = 0.0) -> float:
    """Of a position, with so many ``more`` for each block of outputs."""
    return -(-shape[-1] // tiles.LANES) * (SECONDS_BLOCK + more)


def _signs_as_numbers(graph: Graph, unit: Unit) -> Bind:
    assert unit.sign is not None
    assert unit.real is not None
    target, shape = unit.real, graph.shape(unit.real)
    least = unit.sign.tensors.get("threshold", np.zeros(shape[-1], np.float32))

    def bind(batch: int, maps: Maps) -> Call:
        x, out = (maps[value].reshape(batch, *shape) for value in (unit.source, target))
        return Call(lambda *_: np.copyto(out, np.where(x >= least, 1, -1)), 1)

    return bind


def _pool(graph: Graph, node: Node, value: int) -> Bind:
    source, shape = graph.shape(node.inputs[0]), node.shape
    windows = layout.all_windows(node, source)
    each = _seconds(source) * _positions(source) / _positions(shape)
    numbers = _geometry(source, shape) | {kernels.IS_MEAN: node.op != "max_pool"}

    def bind(batch: int, maps: Maps) -> Call:
        ends = {kernels.SOURCE: maps[node.inputs[0]], kernels.REAL: maps[value]}
        arrays = ends | {kernels.WINDOWS: windows}
        return _call(kernels.pool, batch * _positions(shape), numbers, arrays, each)

    return bind


def _pool_signs(graph: Graph, unit: Unit) -> Bind:
    """See `plan`: channels whose norm turns them round are +1 where all are."""
    assert unit.head is not None
    assert unit.norm is not None
    assert unit.signs is not None
    node, target, source = unit.head, unit.signs, graph.shape(unit.source)
    shape, numbers = graph.shape(target), _geometry(source, node.shape)
    windows = layout.all_windows(node, source)
    falling = layout.as_words((unit.norm.tensors["scale"] < 0).astype(np.uint8))
    each = layout.words(source[2]) * SECONDS_WORD * _positions(source) / _positions(shape)

    def bind(batch: int, maps: Maps) -> Call:
        arrays: Arrays = {
            kernels.SOURCE: maps[unit.source],
            kernels.TO_SIGNS: maps[target],
            kernels.WINDOWS: windows,
            kernels.FALLING: falling,
        }
        return _call(kernels.pool_signs, batch * _positions(shape), numbers, arrays, each)

    return bind


def _subsample(graph: Graph, node: Node, value: int) -> Bind:
    source = graph.shape(node.inputs[0])
    numbers = _geometry(source, node.shape) | {
        kernels.STRIDE: node.numbers["stride"],
        kernels.TAKEN: source[2],
        kernels.OFFSET: node.numbers["before"],
    }

    def bind(batch: int, maps: Maps) -> Call:
        ends = {kernels.SOURCE: maps[node.inputs[0]], kernels.REAL: maps[value]}
        count = batch * _positions(node.shape)
        return _call(kernels.subsample, count, numbers, ends, _seconds(node.shape))

    return bind


def _concat(graph: Graph, node: Node, value: int) -> Bind:
    parts, offset = [], 0
    for part in node.inputs:
        source = graph.shape(part)
        taken = min(source[2], node.shape[2] - offset)
        own = {kernels.STRIDE: 1, kernels.TAKEN: taken, kernels.OFFSET: offset}
        parts.append((part, _geometry(source, node.shape) | own))
        offset += taken

    def bind(batch: int, maps: Maps) -> Call:
        count, each = batch * _positions(node.shape), _seconds(node.shape)
        calls = []
        for source, numbers in parts:
            ends = {kernels.SOURCE: maps[source], kernels.REAL: maps[value]}
            calls.append(_call(kernels.place, count, numbers, ends, each))

        def loop(start: int, stop: int) -> None:
            for call in calls:
                call.loop(start, stop, *call.arguments)

        return Call(loop, count, each=each)

    return bind


def _flatten(graph: Graph, node: Node, value: int) -> Bind:
    """Channel by channel, as the training graph has it."""
    height, width, channels = graph.shape(node.inputs[0])

    def bind(batch: int, maps: Maps) -> Call:
        x = maps[node.inputs[0]].reshape(batch, height * width, channels).transpose(0, 2, 1)
        out = maps[value].reshape(batch, channels, height * width)
        return Call(lambda *_: np.copyto(out, x), 1)

    return bind


def _linear(graph: Graph, node: Node, value: int) -> Bind:
    weights, bias = np.ascontiguousarray(node.tensors["weight"].T), node.tensors["bias"]

    def bind(batch: int, maps: Maps) -> Call:
        x, out = maps[node.inputs[0]].reshape(batch, -1), maps[value].reshape(batch, -1)

        def loop(start: int, stop: int) -> None:
            np.matmul(x, weights, out=out)
            np.add(out, bias, out=out)

        return Call(loop, 1)

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
