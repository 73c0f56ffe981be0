"""Turn the units of a schedule into steps of the C runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ir2search.kernels.inference import Form, Operation
from ir2search.runtime import weights
from ir2search.runtime.graph import Array, Graph, Node, Shape
from ir2search.runtime.limits import limits
from ir2search.runtime.schedule import Unit

LARGEST_TABLE = 2**24  # sums times outputs; above this size, no limits are computed

Numbers = dict[str, int]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Target:
    """The kind of machine that a program is for.

    Attributes:
        lanes: outputs that are computed together, ``ir2_lanes``.
        alignment: places of maps in the arena are multiples of this, in bytes.
        copied_bytes: rows of the input are copied in pieces of at most this size, if a piece then
            holds the rows of at least one output row.
        is_microcontroller: whether the program begins with the pixels of one image, may run row by
            row, and has room for these copies in the arena.
    """

    lanes: int
    alignment: int
    copied_bytes: int
    is_microcontroller: bool


MICROCONTROLLER = Target(lanes=1, alignment=8, copied_bytes=0, is_microcontroller=True)


@dataclass(frozen=True)
class Step:
    """One operation of the C runtime, before its maps have places.

    Attributes:
        operation: what it does.
        form: what follows.
        numbers: fields of ``ir2_step`` by name.
        arrays: constants of ``ir2_step`` by name.
        maps: the values that it reads and writes: ``source``, ``shortcut``, ``real``, ``signs``.
        scratch: bytes that it needs for copies of rows.
    """

    operation: Operation
    form: Form
    numbers: Mapping[str, int]
    arrays: Mapping[str, Array]
    maps: Mapping[str, int]
    scratch: int = 0

    @property
    def reads(self) -> tuple[int, ...]:
        """The values that it reads."""
        return tuple(self.maps[role] for role in ("source", "shortcut") if role in self.maps)

    @property
    def writes(self) -> tuple[int, ...]:
        """The values that it writes."""
        return tuple(self.maps[role] for role in ("real", "signs") if role in self.maps)


def pixels_step(graph: Graph) -> Step:
    """The step that reads the pixels of an image; its constants come with the export."""
    geometry = _geometry(graph.image, graph.image)
    return Step(Operation.PIXELS, Form.REAL, geometry, {}, {"real": 0})


def unit_steps(graph: Graph, unit: Unit, target: Target) -> list[Step]:
    """The steps of a unit, in order."""
    if unit.kind == "pointwise":
        return [_pointwise(graph, unit, target)]
    if unit.kind == "binary_conv":
        return [_binary_convolution(graph, unit, target)]
    if unit.kind == "conv":
        return [_convolution(graph, unit, target)]
    assert unit.head is not None
    if unit.signs is not None:
        return [_pool_signs(graph, unit)]
    assert unit.real is not None
    if unit.kind in ("concat", "cut"):
        return _copies(graph, unit.head, unit.real)
    maps = {"source": unit.source, "real": unit.real}
    return [_OTHERS[unit.kind](graph.shape(unit.source), unit.head, maps, target)]


def _pointwise(graph: Graph, unit: Unit, target: Target) -> Step:
    shape = graph.shape(unit.makes)
    form, arrays = _finish(unit, shape[-1])
    geometry = _geometry(shape, shape)
    return Step(Operation.POINTWISE, form, geometry, _padded(arrays, target), _maps(unit))


def _binary_convolution(graph: Graph, unit: Unit, target: Target) -> Step:
    """A binary convolution."""
    assert unit.head is not None
    node, source = unit.head, graph.shape(unit.source)
    form, arrays = _finish(unit, node.shape[-1])
    ones = weights.stored_bits(node, source[2])
    changes = _limits(form, arrays, ones[0].size)
    if changes is not None:
        turned = (changes[0] < 0)[:, None, None, None]
        ones = np.where(turned, 1 - ones, ones)  # the sum changes its sign, and the limit rises
    found = weights.borders(ones, node, (source[0], source[1]))
    sums = found.sums
    if changes is not None:  # sum - 2 * differences >= limit
        form, arrays, sums = Form.LIMITS, {}, (sums - changes[1]) // 2
    arrays |= {
        "bits": weights.sign_words(ones, target.lanes),
        "borders": sums.astype(np.int32),
        "row_kind": found.row_kind,
        "column_kind": found.column_kind,
    }
    pixel = weights.sign_bytes(source[2])
    numbers, scratch = _window(node, source, pixel, target)
    numbers |= {"groups": 1, "column_kinds": sums.shape[1]}
    return Step(
        Operation.CONVOLVE_SIGNS, form, numbers, _padded(arrays, target), _maps(unit), scratch
    )


def _limits(form: Form, arrays: Arrays, most: int) -> Array | None:
    """`limits`, if only the signs of the sums are needed."""
    fits = (2 * most + 1) * len(arrays.get("threshold", ())) <= LARGEST_TABLE
    if not fits or not form & Form.SIGNS or form & (Form.REAL | Form.SHORTCUT):
        return None
    return limits(form, arrays, -most, most)


def _convolution(graph: Graph, unit: Unit, target: Target) -> Step:
    """A full-precision convolution."""
    assert unit.head is not None
    node, source = unit.head, graph.shape(unit.source)
    form, arrays = _finish(unit, node.shape[-1])
    in_blocks = target.lanes > 1
    rows = weights.float_weights(node, source[2], whole=in_blocks)
    arrays["weights"] = weights.in_blocks(rows, target.lanes)
    numbers, scratch = _window(node, source, 4 * source[2], target)
    numbers["groups"] = 1 if in_blocks else node.numbers["groups"]
    return Step(
        Operation.CONVOLVE_NUMBERS, form, numbers, _padded(arrays, target), _maps(unit), scratch
    )


def _window(node: Node, source: Shape, pixel: int, target: Target) -> tuple[Numbers, int]:
    """The geometry of a convolution, and the bytes that copies of its input's rows need."""
    own = {name: node.numbers[name] for name in ("size", "stride", "padding")}
    size, stride, padding = own.values()
    line = (source[1] + 2 * padding) * pixel
    fitting = (target.copied_bytes // line - size) // stride + 1
    chunk = min(node.shape[0], max(1, fitting))
    copies = padding > 0 or (target.is_microcontroller and size > 1)
    scratch = line * ((chunk - 1) * stride + size) if copies else 0
    return _geometry(source, node.shape) | own | {"chunk": chunk}, scratch


def _finish(unit: Unit, channels: int) -> tuple[Form, Arrays]:
    """What follows the sums of a unit, and its numbers by output."""
    form, arrays = Form(0), dict[str, Array]()
    if unit.norm is not None:
        form |= Form.SCALE | Form.SHIFT
        arrays |= {role: unit.norm.tensors[role] for role in ("scale", "shift")}
    if unit.shortcut is not None:
        form |= Form.SHORTCUT
    if unit.activation is not None:
        form |= _FORMS[unit.activation.op]
        arrays |= unit.activation.tensors
    if unit.sign is not None:
        form |= Form.SIGNS if unit.signs is not None else Form.PLUS_MINUS
        zeros = np.zeros(channels, np.float32)
        arrays["threshold"] = unit.sign.tensors.get("threshold", zeros)
    if unit.real is not None and not form & Form.PLUS_MINUS:
        form |= Form.REAL
    return form, arrays


def _padded(arrays: Arrays, target: Target) -> Arrays:
    by_output = {"scale", "shift", "knee", "slope", "rise", "threshold", "borders"}
    return {
        name: weights.by_output(array, target.lanes) if name in by_output else array
        for name, array in arrays.items()
    }


def _maps(unit: Unit) -> Numbers:
    roles = {"source": unit.source, "shortcut": unit.shortcut}
    roles |= {"real": unit.real, "signs": unit.signs}
    return {role: value for role, value in roles.items() if value is not None}


def _geometry(source: Shape, shape: Shape) -> Numbers:
    names = "height", "width", "channels", "rows", "columns", "outputs"
    return dict(zip(names, (*_as_map(source), *_as_map(shape)), strict=True))


def _as_map(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (1, 1, *shape)


def _eight_bits(source: Shape, node: Node, maps: Numbers, target: Target) -> Step:
    numbers = _geometry(source, node.shape) | {"units": node.numbers["steps"]}
    return Step(Operation.EIGHT_BITS, Form(0), numbers, {}, maps)


def _pool(source: Shape, node: Node, maps: Numbers, target: Target) -> Step:
    operation = Operation.POOL_MAX if node.op == "max_pool" else Operation.POOL_MEAN
    return Step(operation, _pooling(node), _pool_numbers(source, node), {}, maps)


def _pool_numbers(source: Shape, node: Node) -> Numbers:
    own = {name: node.numbers.get(name, 0) for name in ("size", "stride", "padding")}
    return _geometry(source, node.shape) | own


def _pooling(node: Node) -> Form:
    return Form.ADAPTIVE if node.op == "adaptive_pool" else Form(0)


def _pool_signs(graph: Graph, unit: Unit) -> Step:
    """Pool signs, see `schedule`; the steps decrease in channels with a negative scale."""
    assert unit.head is not None
    assert unit.norm is not None
    falls = unit.norm.tensors["scale"] < 0
    arrays = {"falling": np.packbits(falls, bitorder="little")}
    numbers = _pool_numbers(graph.shape(unit.source), unit.head)
    return Step(Operation.POOL_SIGNS, _pooling(unit.head), numbers, arrays, _maps(unit))


def _subsample(source: Shape, node: Node, maps: Numbers, target: Target) -> Step:
    numbers = _geometry(source, node.shape) | {
        "stride": node.numbers["stride"],
        "copied": source[2],
        "before": node.numbers["before"],
    }
    return Step(Operation.SUBSAMPLE, Form(0), numbers, {}, maps)


def _copies(graph: Graph, node: Node, value: int) -> list[Step]:
    """A copy for each input, next to each other."""
    steps, before = [], 0
    for part in node.inputs:
        source = graph.shape(part)
        copied = min(source[2], node.shape[2] - before)
        numbers = _geometry(source, node.shape)
        numbers |= {"stride": 1, "copied": copied, "before": before}
        steps.append(Step(Operation.COPY, Form(0), numbers, {}, {"source": part, "real": value}))
        before += copied
    return steps


def _shuffle(source: Shape, node: Node, maps: Numbers, target: Target) -> Step:
    numbers = _geometry(source, node.shape) | {"groups": node.numbers["groups"]}
    return Step(Operation.SHUFFLE, Form(0), numbers, {}, maps)


def _flatten(source: Shape, node: Node, maps: Numbers, target: Target) -> Step:
    """Flatten channel by channel, as torch does."""
    numbers = _geometry(source, (1, 1, math.prod(source)))
    return Step(Operation.FLATTEN, Form(0), numbers, {}, maps)


def _linear(source: Shape, node: Node, maps: Numbers, target: Target) -> Step:
    """A convolution of a map of one pixel."""
    numbers = _geometry(source, node.shape)
    numbers |= {"size": 1, "stride": 1, "padding": 0, "groups": 1, "chunk": 1}
    arrays = {
        "weights": weights.in_blocks(node.tensors["weight"], target.lanes),
        "shift": node.tensors["bias"],
    }
    form = Form.SHIFT | Form.REAL
    return Step(Operation.CONVOLVE_NUMBERS, form, numbers, _padded(arrays, target), maps)


_FORMS = {
    "hardtanh": Form.HARDTANH,
    "prelu": Form.PRELU,
    "rprelu": Form.PRELU | Form.SHIFTED,
}
_OTHERS: dict[str, Callable[[Shape, Node, Numbers, Target], Step]] = {
    "int8": _eight_bits,
    "max_pool": _pool,
    "avg_pool": _pool,
    "adaptive_pool": _pool,
    "subsample": _subsample,
    "shuffle": _shuffle,
    "flatten": _flatten,
    "linear": _linear,
}
