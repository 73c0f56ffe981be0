"""A network as a packed file describes it: operations in order, each with shapes that were checked.

A node's value is (height, width, channels) of one image, or (channels,) once it is flat. Value 0
is the image; node i makes value i + 1, and the last one's are the logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ir2search.errors import WeightsError

Shape = tuple[int, ...]
Array = NDArray[Any]

LARGEST = 2**27  # elements of one image's value, and of a convolution's weights
LARGEST_WHOLE = 2**30  # elements of all values of one image


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        op: one of `OPERATIONS`.
        inputs: numbers of values.
        numbers: the operation's own, by name.
        tensors: by role.
        shape: of its value for one image.
        name: of the layer that it belongs to.
    """

    op: str
    inputs: tuple[int, ...]
    numbers: Mapping[str, Any]
    tensors: Mapping[str, Array]
    shape: Shape
    name: str


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
        image: (height, width, channels).
        nodes: in an order in which they can run.
    """

    image: Shape
    nodes: tuple[Node, ...]

    @property
    def classes(self) -> int:
        """How many logits there are."""
        return self.nodes[-1].shape[0]

    def shape(self, value: int) -> Shape:
        """Of a value, for one image."""
        return self.nodes[value - 1].shape if value else self.image

    def consumers(self) -> list[list[int]]:
        """For each value the nodes that take it; the logits have none."""
        found: list[list[int]] = [[] for _ in range(len(self.nodes) + 1)]
        for index, node in enumerate(self.nodes):
            for value in node.inputs:
                found[value].append(index)
        return found


def check_graph(description: Any, tensors: Mapping[str, Array]) -> Graph:
    """A graph out of what its JSON says and the tensors that it names.

    Raises:
        WeightsError: it says anything that no network of ours has.
    """
    if not isinstance(description, dict) or set(description) != {"image", "nodes"}:
        raise WeightsError("the graph must have `image` and `nodes`")
    image, listed = description["image"], description["nodes"]
    if not isinstance(image, list) or len(image) != 3 or not all(map(_is_count, image)):
        raise WeightsError("`image` must be three whole numbers from 1")
    channels, height, width = image
    if not isinstance(listed, list) or not listed:
        raise WeightsError("`nodes` must be a list with something in it")
    shapes: list[Shape] = [(height, width, channels)]
    nodes: list[Node] = []
    unused = set(tensors)
    for index, entry in enumerate(listed):
        try:
            node = _node(entry, shapes, tensors, unused)
        except (_Wrong, KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(f"node {index}: {_reason(error)}") from None
        nodes.append(node)
        shapes.append(node.shape)
        if sum(map(math.prod, shapes)) > LARGEST_WHOLE:
            raise WeightsError(f"node {index}: the maps of one image would not fit in memory")
    if unused:
        raise WeightsError(f"tensor {min(unused)!r} belongs to no node")
    if nodes[-1].op != "linear":
        raise WeightsError("the last node must be linear, which gives logits")
    graph = Graph(shapes[0], tuple(nodes))
    _check_signs(graph)
    return graph


def _check_signs(graph: Graph) -> None:
    """Signs as bits are made by a sign, and nobody else takes those."""
    for index, takers in enumerate(graph.consumers()):
        binary = [graph.nodes[taker].op == "binary_conv" for taker in takers]
        is_sign = index > 0 and graph.nodes[index - 1].op == "sign"
        if any(binary) and not (is_sign and all(binary)):
            raise WeightsError(f"value {index}: a binary_conv takes what is no sign for it alone")


class _Wrong(Exception):
    """What is wrong with a node, in words."""


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, _Wrong) else f"malformed ({error!r:.80})"


def _node(entry: Any, shapes: list[Shape], tensors: Mapping[str, Array], unused: set[str]) -> Node:
    _need(isinstance(entry, dict), "must be an object")
    op, inputs = entry.get("op"), entry.get("inputs")
    _need(isinstance(op, str) and op in OPERATIONS, f"unknown operation {op!r:.40}")
    operation = OPERATIONS[op]
    _need(
        isinstance(inputs, list)
        and all(isinstance(i, int) and not isinstance(i, bool) for i in inputs)
        and all(0 <= i < len(shapes) for i in inputs),
        "`inputs` must be numbers of earlier values",
    )
    _need(operation.takes(len(inputs)), f"{op} does not take {len(inputs)} inputs")
    numbers, named = entry.get("numbers", {}), entry.get("tensors", {})
    _need(isinstance(numbers, dict) and isinstance(named, dict), "must hold objects")
    _need(set(numbers) == set(operation.numbers), f"{op} has numbers {list(operation.numbers)}")
    for name, value in numbers.items():
        _need(_is_number(value), f"`{name}` must be a number in range")
    roles: dict[str, Array] = {}
    for role, name in named.items():
        _need(role in operation.tensors, f"{op} has no tensor {role!r:.40}")
        _need(isinstance(name, str) and name in unused, f"no tensor {name!r:.60} left for it")
        unused.discard(name)
        roles[role] = tensors[name]
    shape = operation.shape([shapes[i] for i in inputs], numbers, roles)
    _need(all(side >= 1 for side in shape), "nothing is left of the map")
    _need(math.prod(shape) <= LARGEST, "its map would not fit in memory")
    return Node(op, tuple(inputs), numbers, roles, shape, str(entry.get("name", op))[:200])


def _need(holds: bool, rule: str) -> None:
    if not holds:
        raise _Wrong(rule)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**20


Numbers = Mapping[str, Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class _Operation:
    shape: Callable[[list[Shape], Numbers, Tensors], Shape]
    numbers: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    inputs: int | None = 1  # None: one or more

    def takes(self, count: int) -> bool:
        return count >= 1 if self.inputs is None else count == self.inputs


def _vector(tensors: Tensors, role: str, length: int) -> None:
    tensor = tensors.get(role)
    _need(tensor is not None, f"lacks its tensor `{role}`")
    assert tensor is not None
    good = tensor.dtype == np.float32 and tensor.shape == (length,)
    _need(good, f"`{role}` must be {length} numbers of 32 bits")


def _map(shape: Shape) -> tuple[int, int, int]:
    _need(len(shape) == 3, "needs a map, not something flat")
    return shape[0], shape[1], shape[2]


def _window(side: int, numbers: Numbers, up: bool = False) -> int:
    """Outputs along one axis."""
    size, stride, padding = (numbers[name] for name in ("size", "stride", "padding"))
    _need(1 <= size <= 64 and 1 <= stride <= 64 and padding < size, "a window out of range")
    room = side + 2 * padding - size
    return (-(-room // stride) if up else room // stride) + 1


def _convolution(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    size, outputs, groups = numbers["size"], numbers["outputs"], numbers["groups"]
    _need(
        outputs >= 1 and groups >= 1 and channels % groups == outputs % groups == 0,
        "`groups` must divide the channels and the outputs",
    )
    shape = (_window(height, numbers), _window(width, numbers), outputs)
    sides = (side + 2 * numbers["padding"] for side in (height, width))
    _need(math.prod(sides) * channels <= LARGEST, "its padded map would not fit in memory")
    elements = outputs * size * size * (channels // groups)
    _need(elements * groups <= LARGEST, "its weights would not fit in memory")
    weights = tensors.get("weight")
    _need(weights is not None, "lacks its tensor `weight`")
    assert weights is not None
    if weights.dtype == np.uint8:
        _need(weights.shape == (-(-elements // 8),), f"`weight` must be {elements} bits")
    else:
        wanted = (outputs, channels // groups, size, size)
        good = weights.dtype == np.float32 and weights.shape == wanted
        _need(good, f"`weight` must be {wanted} numbers of 32 bits")
    return shape


def _binary_convolution(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    shape = _convolution(shapes, {**numbers, "groups": 1}, tensors)
    _need(tensors["weight"].dtype == np.uint8, "`weight` must be bits")
    return shape


def _by_channel(*roles: str) -> Callable[[list[Shape], Numbers, Tensors], Shape]:
    def shape(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
        for role in roles:
            _vector(tensors, role, shapes[0][-1])
        return shapes[0]

    return shape


def _sign(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    return _by_channel(*tensors)(shapes, numbers, tensors)


def _same(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    _need(all(shape == shapes[0] for shape in shapes), "adds maps of different shapes")
    return shapes[0]


def _pool(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    up = bool(numbers["ceil"])
    _need(2 * numbers["padding"] <= numbers["size"], "a window out of range")
    _need(not (up and numbers["padding"]), "`ceil` goes with no padding")
    sides = [_window(side, numbers, up) for side in (height, width)]
    if up:  # the last window has to begin within the map
        begins = [(count - 1) * numbers["stride"] for count in sides]
        _need(begins[0] < height and begins[1] < width, "a window out of range")
    return sides[0], sides[1], channels


def _adaptive(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    return numbers["height"], numbers["width"], _map(shapes[0])[2]


def _subsample(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    stride, before, outputs = (numbers[name] for name in ("stride", "before", "outputs"))
    _need(stride >= 1 and before + channels <= outputs, "has no place for its channels")
    return -(-height // stride), -(-width // stride), outputs


def _concat(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, _ = _map(shapes[0])
    _need(all(_map(shape)[:2] == (height, width) for shape in shapes), "joins maps unlike in size")
    return height, width, sum(shape[2] for shape in shapes)


def _cut(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    _need(numbers["outputs"] <= channels, "keeps more channels than there are")
    return height, width, numbers["outputs"]


def _flatten(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    return (math.prod(_map(shapes[0])),)


def _linear(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    _need(len(shapes[0]) == 1, "needs something flat")
    outputs, weight = numbers["outputs"], tensors.get("weight")
    _vector(tensors, "bias", outputs)
    good = weight is not None and weight.dtype == np.float32
    wanted = (outputs, shapes[0][0])
    _need(good and weight is not None and weight.shape == wanted, f"`weight` must be {wanted}")
    return (outputs,)


_WINDOW = ("size", "stride", "padding")

OPERATIONS: dict[str, _Operation] = {
    "sign": _Operation(_sign, tensors=("threshold",)),
    "binary_conv": _Operation(_binary_convolution, (*_WINDOW, "outputs"), ("weight",)),
    "conv": _Operation(_convolution, (*_WINDOW, "outputs", "groups"), ("weight",)),
    "norm": _Operation(_by_channel("scale", "shift"), tensors=("scale", "shift")),
    "add": _Operation(_same, inputs=2),
    "hardtanh": _Operation(_same),
    "prelu": _Operation(_by_channel("slope"), tensors=("slope",)),
    "rprelu": _Operation(_by_channel("knee", "slope", "rise"), tensors=("knee", "slope", "rise")),
    "max_pool": _Operation(_pool, (*_WINDOW, "ceil")),
    "avg_pool": _Operation(_pool, (*_WINDOW, "ceil")),
    "adaptive_pool": _Operation(_adaptive, ("height", "width")),
    "subsample": _Operation(_subsample, ("stride", "before", "outputs")),
    "concat": _Operation(_concat, inputs=None),
    "cut": _Operation(_cut, ("outputs",)),
    "flatten": _Operation(_flatten),
    "linear": _Operation(_linear, ("outputs",), ("weight", "bias")),
}
