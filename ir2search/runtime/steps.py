"""Turn the units of a schedule into calls of the compiled loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ir2search.runtime import frame, kernels, layout
from ir2search.runtime.frame import LANES, Floats
from ir2search.runtime.graph import Array, Graph, Node, Shape
from ir2search.runtime.schedule import Unit

LARGEST_TABLE = 2**24  # sums times channels; above this size, no limits are computed

# estimated seconds of a block of outputs: for a word of signs, for a number, for all later steps
SECONDS_WORD, SECONDS_NUMBER, SECONDS_BLOCK = 1e-9, 3e-10, 5e-9

Maps = Mapping[int, Array]  # flat maps, by the index of their value
Loop = Callable[..., object]
Numbers = dict[int, int]
Arrays = dict[int, Array]


@dataclass(frozen=True)
class Call:
    """A loop with its arguments.

    Attributes:
        loop: takes start, stop and ``arguments``.
        count: number of positions.
        arguments: further arguments.
        held: arrays whose addresses are in the frame; they must stay alive.
        each: estimated seconds for a position.
    """

    loop: Loop
    count: int
    arguments: tuple[Any, ...] = ()
    held: tuple[Array, ...] = ()
    each: float = 0.0

    @property
    def seconds(self) -> float:
        """Estimated seconds for one thread."""
        return self.count * self.each


Step = Callable[[int, Maps], Call]


def make_step(graph: Graph, unit: Unit) -> Step:
    """Make a unit's step: a function from a batch size and the maps to a call."""
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


def _pointwise(graph: Graph, unit: Unit) -> Step:
    shape = graph.shape(unit.makes)
    form, vectors = _finish(unit, shape[-1])
    padded = vectors.shape[1]
    numbers = {frame.FORM: form, frame.PADDED_OUTPUTS: padded, frame.OUTPUTS: shape[-1]}
    arrays: Arrays = {frame.VECTORS: vectors}
    return _step(kernels.pointwise, shape, numbers, arrays, _values(unit), _seconds(shape))


def _convolution(graph: Graph, unit: Unit) -> Step:
    assert unit.head is not None
    node, source = unit.head, graph.shape(unit.source)
    form, vectors = _finish(unit, node.shape[-1])
    patches = layout.patches(node, source)
    is_binary = unit.kind == "binary_conv"
    element = 8 if is_binary else 4  # bytes
    offsets = patches.offsets(node.numbers["size"]) * element
    weights: Array
    if is_binary:
        ones = layout.bits(node, source[2])
        weights = layout.binary_weights(ones)
        flags, counted = _counted(ones, node, source, form, vectors)
        form |= flags
    else:
        weights = layout.float_weights(node, source[2])
        nothing = np.zeros(0, np.int32)
        counted = {frame.BORDERS: nothing, frame.LIMITS: nothing, frame.CLASSES: nothing}
    per_element = SECONDS_WORD if is_binary else SECONDS_NUMBER
    each = _seconds(node.shape, per_element * len(offsets))
    numbers = _geometry(source, node.shape) | {
        frame.FORM: form,
        frame.PADDED_OUTPUTS: vectors.shape[1],
        frame.SIZE: node.numbers["size"],
        frame.STRIDE: node.numbers["stride"],
        frame.PADDING: node.numbers["padding"],
        frame.IS_BINARY: is_binary,
        frame.ROW_LAYOUT: patches.row_layout,
        frame.DEPTH: len(offsets),
        frame.LINE: patches.line,
    }
    arrays = counted | {
        frame.VECTORS: vectors,
        frame.OFFSETS: offsets,
        frame.WEIGHTS: weights,
        frame.PLACES: patches.places(node) * element,
    }
    return _step(kernels.convolve, node.shape, numbers, arrays, _values(unit), each)


def _counted(
    ones: Array, node: Node, source: Shape, form: int, vectors: Floats
) -> tuple[int, Arrays]:
    """Flags and arrays that turn counts of differing signs into sums, or directly into signs."""
    sums, classes = layout.borders(ones, node, (source[0], source[1]))
    borders = layout.padded(sums)
    most = ones[0].size
    limits = None
    fits = (2 * most + 1) * len(ones) <= LARGEST_TABLE
    if fits and not form & (frame.HAS_REAL | frame.HAS_SHORTCUT):
        limits = layout.limits(vectors, form, -most, most)
    arrays: Arrays = {
        frame.BORDERS: borders,
        frame.CLASSES: classes * 4 * borders.shape[1],
        frame.LIMITS: np.zeros(0, np.int32) if limits is None else layout.padded(limits),
    }
    return frame.HAS_COUNTS | (0 if limits is None else frame.HAS_LIMITS), arrays


def _finish(unit: Unit, channels: int) -> tuple[int, Floats]:
    """FORM and VECTORS of the steps after the sums, see `tiles.finish_tile`."""
    wide = -(-channels // LANES) * LANES
    vectors = np.zeros((frame.VECTOR_ROWS, wide), np.float32)
    form = 0
    if unit.norm is not None:
        form |= frame.HAS_NORM
        for row, role in ((frame.SCALE, "scale"), (frame.SHIFT, "shift")):
            vectors[row, :channels] = unit.norm.tensors[role]
    if unit.shortcut is not None:
        form |= frame.HAS_SHORTCUT
    if unit.activation is not None:
        form |= frame.HAS_HARDTANH if unit.activation.op == "hardtanh" else frame.HAS_PRELU
        for row, role in ((frame.KNEE, "knee"), (frame.SLOPE, "slope"), (frame.RISE, "rise")):
            vectors[row, :channels] = unit.activation.tensors.get(role, 0)
    if unit.real is not None:
        form |= frame.HAS_REAL
    if unit.signs is not None:
        form |= frame.HAS_SIGNS
    if unit.sign is not None:
        vectors[frame.THRESHOLD, :channels] = unit.sign.tensors.get("threshold", 0)
    return form, vectors


def _values(unit: Unit) -> Numbers:
    """The values that a unit reads and makes, by place in the frame."""
    values = {
        frame.SOURCE: unit.source,
        frame.SHORTCUT: unit.shortcut,
        frame.REAL: unit.real,
        frame.SIGNS: unit.signs,
    }
    return {place: value for place, value in values.items() if value is not None}


def _geometry(source: Shape, shape: Shape) -> Numbers:
    return {
        frame.HEIGHT: source[0],
        frame.WIDTH: source[1],
        frame.CHANNELS: source[2],
        frame.ROWS: shape[0],
        frame.COLUMNS: shape[1],
        frame.OUTPUTS: shape[2],
    }


def _step(
    loop: Loop, shape: Shape, numbers: Numbers, arrays: Arrays, values: Numbers, each: float
) -> Step:
    """A step that calls a compiled loop for each position of an output map.

    The frame gets ``numbers`` as they are, and the addresses of ``arrays`` and of the maps of
    ``values``; all are given by place. ``each`` estimates the seconds for a position.
    """

    def step(batch: int, maps: Maps) -> Call:
        held = arrays | {place: maps[value] for place, value in values.items()}
        entries = np.zeros(frame.FRAME_SIZE, np.int64)
        for place, number in numbers.items():
            entries[place] = number
        for place, array in held.items():
            entries[place] = array.ctypes.data
        return Call(loop, batch * _positions(shape), (entries,), tuple(held.values()), each)

    return step


def _positions(shape: Shape) -> int:
    return shape[0] * shape[1] if len(shape) == 3 else 1


def _seconds(shape: Shape, more: float = 0.0) -> float:
    """Estimated seconds for a position, with ``more`` seconds for each block of outputs."""
    return -(-shape[-1] // LANES) * (SECONDS_BLOCK + more)


def _signs_as_numbers(graph: Graph, unit: Unit) -> Step:
    assert unit.sign is not None
    assert unit.real is not None
    target, shape = unit.real, graph.shape(unit.real)
    threshold = unit.sign.tensors.get("threshold", np.zeros(shape[-1], np.float32))

    def step(batch: int, maps: Maps) -> Call:
        x, out = (maps[value].reshape(batch, *shape) for value in (unit.source, target))
        return Call(lambda *_: np.copyto(out, np.where(x >= threshold, 1, -1)), 1)

    return step


def _eight_bits(graph: Graph, node: Node, value: int) -> Step:
    """Round to whole numbers of 8 bits, ``steps`` of them in 1."""
    source, steps = node.inputs[0], np.float32(node.numbers["steps"])

    def step(batch: int, maps: Maps) -> Call:
        def loop(start: int, stop: int) -> None:
            np.divide(np.rint(maps[source] * steps).clip(-128, 127), steps, out=maps[value])

        return Call(loop, 1)

    return step


def _pool(graph: Graph, node: Node, value: int) -> Step:
    source, shape = graph.shape(node.inputs[0]), node.shape
    windows = layout.all_windows(node, source)
    each = _seconds(source) * _positions(source) / _positions(shape)
    numbers = _geometry(source, shape) | {frame.IS_MEAN: node.op != "max_pool"}
    values = {frame.SOURCE: node.inputs[0], frame.REAL: value}
    return _step(kernels.pool, shape, numbers, {frame.WINDOWS: windows}, values, each)


def _pool_signs(graph: Graph, unit: Unit) -> Step:
    """Pool signs, see `schedule`; the steps decrease in channels with a negative scale."""
    assert unit.head is not None
    assert unit.norm is not None
    assert unit.signs is not None
    node, source, shape = unit.head, graph.shape(unit.source), graph.shape(unit.signs)
    numbers = _geometry(source, node.shape)
    windows = layout.all_windows(node, source)
    falling = layout.as_words((unit.norm.tensors["scale"] < 0).astype(np.uint8))
    each = layout.words(source[2]) * SECONDS_WORD * _positions(source) / _positions(shape)
    arrays: Arrays = {frame.WINDOWS: windows, frame.FALLING: falling}
    return _step(kernels.pool_signs, shape, numbers, arrays, _values(unit), each)


def _subsample(graph: Graph, node: Node, value: int) -> Step:
    source = graph.shape(node.inputs[0])
    numbers = _geometry(source, node.shape) | {
        frame.STRIDE: node.numbers["stride"],
        frame.COPIED: source[2],
        frame.OFFSET: node.numbers["before"],
    }
    values = {frame.SOURCE: node.inputs[0], frame.REAL: value}
    return _step(kernels.subsample, node.shape, numbers, {}, values, _seconds(node.shape))


def _concat(graph: Graph, node: Node, value: int) -> Step:
    steps, offset, each = [], 0, _seconds(node.shape)
    for part in node.inputs:
        source = graph.shape(part)
        copied = min(source[2], node.shape[2] - offset)
        numbers = _geometry(source, node.shape) | {
            frame.STRIDE: 1,
            frame.COPIED: copied,
            frame.OFFSET: offset,
        }
        values = {frame.SOURCE: part, frame.REAL: value}
        steps.append(_step(kernels.copy_channels, node.shape, numbers, {}, values, each))
        offset += copied

    def step(batch: int, maps: Maps) -> Call:
        calls = [part(batch, maps) for part in steps]

        def loop(start: int, stop: int) -> None:
            for call in calls:
                call.loop(start, stop, *call.arguments)

        return Call(loop, batch * _positions(node.shape), each=each)

    return step


def _shuffle(graph: Graph, node: Node, value: int) -> Step:
    """Deal the channels in turn: the first of each group, then the second of each, and so on."""
    source, groups = node.inputs[0], node.numbers["groups"]
    own = node.shape[2] // groups

    def step(batch: int, maps: Maps) -> Call:
        x = maps[source].reshape(-1, groups, own).swapaxes(1, 2)
        out = maps[value].reshape(-1, own, groups)
        return Call(lambda *_: np.copyto(out, x), 1)

    return step


def _flatten(graph: Graph, node: Node, value: int) -> Step:
    """Flatten channel by channel, as torch does."""
    height, width, channels = graph.shape(node.inputs[0])

    def step(batch: int, maps: Maps) -> Call:
        x = maps[node.inputs[0]].reshape(batch, height * width, channels).transpose(0, 2, 1)
        out = maps[value].reshape(batch, channels, height * width)
        return Call(lambda *_: np.copyto(out, x), 1)

    return step


def _linear(graph: Graph, node: Node, value: int) -> Step:
    weights, bias = np.ascontiguousarray(node.tensors["weight"].T), node.tensors["bias"]

    def step(batch: int, maps: Maps) -> Call:
        x, out = maps[node.inputs[0]].reshape(batch, -1), maps[value].reshape(batch, -1)

        def loop(start: int, stop: int) -> None:
            np.matmul(x, weights, out=out)
            np.add(out, bias, out=out)

        return Call(loop, 1)

    return step


_OTHERS: dict[str, Callable[[Graph, Node, int], Step]] = {
    "int8": _eight_bits,
    "max_pool": _pool,
    "avg_pool": _pool,
    "adaptive_pool": _pool,
    "subsample": _subsample,
    "shuffle": _shuffle,
    "concat": _concat,
    "cut": _concat,
    "flatten": _flatten,
    "linear": _linear,
}
