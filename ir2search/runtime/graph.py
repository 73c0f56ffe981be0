"""A network as a graph of operations in order, with all shapes checked.

Value 0 is the image, node i makes value i + 1, and the last value has the logits. The shape of a
value is that of one image: (height, width, channels), or (channels,) if it is flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ir2search.errors import WeightsError

Shape = tuple[int, ...]
Array = NDArray[Any]
Numbers = Mapping[str, Any]
Tensors = Mapping[str, Array]

LARGEST = 2**27  # elements of a value of one image, and of the weights of a convolution
LARGEST_TOTAL = 2**30  # elements of all values of one image
LARGEST_NUMBER = 2**20  # value of a parameter
MOST_NODES = 10_000  # a ResNet of depth 1202 has 6,021
MOST_READS = 50_000  # values that all nodes read
WINDOW_RULE = "its window is out of range"


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        op: one of `OPERATIONS`.
        inputs: indices of the values that it reads.
        numbers: parameters of the operation by name, for example stride.
        tensors: tensors of the operation by role, for example weight.
        shape: shape of its value.
        name: name of its layer.
    """

    op: str
    inputs: tuple[int, ...]
    numbers: Numbers
    tensors: Tensors
    shape: Shape
    name: str


@dataclass(frozen=True)
class Graph:
    """A network: the shape of its image (height, width, channels), and its nodes in order."""

    image: Shape
    nodes: tuple[Node, ...]

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.nodes[-1].shape[0]

    def shape(self, value: int) -> Shape:
        """Shape of a value."""
        return self.nodes[value - 1].shape if value else self.image

    @cached_property
    def consumers(self) -> list[list[int]]:
        """For each value, the indices of the nodes that read it; no node reads the logits."""
        found: list[list[int]] = [[] for _ in range(len(self.nodes) + 1)]
        for index, node in enumerate(self.nodes):
            for value in node.inputs:
                found[value].append(index)
        return found


class GraphBuilder:
    """Builds a graph operation by operation, and checks each operation and its shape.

    Args:
        image: (channels, height, width) of an image.

    Raises:
        WeightsError: the image is not three whole numbers in range.
    """

    def __init__(self, image: Sequence[int]) -> None:
        if not isinstance(image, list | tuple) or len(image) != 3 or not all(map(_is_count, image)):
            raise WeightsError("`image` must be three whole numbers of at least 1")
        channels, height, width = image
        self._shapes: list[Shape] = [(height, width, channels)]
        self._nodes: list[Node] = []
        self._elements = math.prod(image)
        self._reads = 0

    def add(
        self,
        op: str,
        inputs: Sequence[int],
        name: str = "",
        tensors: Mapping[str, Array] | None = None,
        **numbers: int,
    ) -> int:
        """Append an operation.

        Args:
            op: one of `OPERATIONS`.
            inputs: indices of the values that it reads.
            name: name of its layer.
            tensors: tensors by role; bits are uint8, numbers float32.
            numbers: parameters of the operation.

        Returns:
            The index of its value.

        Raises:
            WeightsError: the operation is not valid on these inputs, or too large.
        """
        try:
            node = _node(op, inputs, name, numbers, tensors or {}, self._shapes)
            self._elements += math.prod(node.shape)
            _check(self._elements <= LARGEST_TOTAL, "the maps of one image would not fit in memory")
            self._reads += len(node.inputs)
            _check(self._reads <= MOST_READS, f"all nodes may read at most {MOST_READS:,} values")
            _check(len(self._nodes) < MOST_NODES, f"there may be at most {MOST_NODES:,} nodes")
        except (_InvalidNode, KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(f"node {len(self._nodes)}: {_reason(error)}") from None
        self._nodes.append(node)
        self._shapes.append(node.shape)
        return len(self._nodes)

    def shape(self, value: int) -> Shape:
        """Shape of a value."""
        return self._shapes[value]

    def graph(self) -> Graph:
        """The graph of all operations so far.

        Raises:
            WeightsError: the last operation gives no logits, or signs are also read as numbers.
        """
        if not self._nodes or self._nodes[-1].op != "linear":
            raise WeightsError("the last node must be linear, which gives logits")
        graph = Graph(self._shapes[0], tuple(self._nodes))
        _check_signs(graph)
        return graph


def _check_signs(graph: Graph) -> None:
    """Check that binary convolutions read signs, which no other operation reads."""
    for index, consumers in enumerate(graph.consumers):
        binary = [graph.nodes[consumer].op == "binary_conv" for consumer in consumers]
        is_sign = index > 0 and graph.nodes[index - 1].op == "sign"
        if any(binary) and not (is_sign and all(binary)):
            raise WeightsError(
                f"value {index}: a binary_conv must read a sign that only binary_convs read"
            )


class _InvalidNode(Exception):
    """A node is invalid; the message is the rule that it breaks."""


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, _InvalidNode) else f"malformed ({error!r:.80})"


def _node(
    op: str,
    inputs: Sequence[int],
    name: str,
    numbers: Numbers,
    tensors: Tensors,
    shapes: Sequence[Shape],
) -> Node:
    _check(isinstance(op, str) and op in OPERATIONS, f"unknown operation {op!r:.40}")
    operation = OPERATIONS[op]
    _check(
        isinstance(inputs, list | tuple) and all(_is_index(i) and i < len(shapes) for i in inputs),
        "`inputs` must be indices of earlier values",
    )
    _check(operation.takes(len(inputs)), f"{op} cannot have {len(inputs)} inputs")
    _check(set(numbers) == set(operation.numbers), f"{op} has numbers {list(operation.numbers)}")
    for number, value in numbers.items():
        _check(_is_number(value), f"`{number}` must be a whole number from 0 to {LARGEST_NUMBER}")
    for role in tensors:
        _check(role in operation.tensors, f"{op} has no tensor {role!r:.40}")
    shape = operation.shape([shapes[i] for i in inputs], numbers, tensors)
    _check(all(side >= 1 for side in shape), "its map would be empty")
    _check(math.prod(shape) <= LARGEST, "its map would not fit in memory")
    return Node(op, tuple(inputs), numbers, tensors, shape, str(name)[:200])


def _check(holds: bool, rule: str) -> None:
    if not holds:
        raise _InvalidNode(rule)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 1


def _is_number(value: Any) -> bool:
    return _is_index(value) and value <= LARGEST_NUMBER


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class _Operation:
    shape: Callable[[list[Shape], Numbers, Tensors], Shape]
    numbers: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    inputs: int | None = 1  # None: one or more

    def takes(self, count: int) -> bool:
        return count >= 1 if self.inputs is None else count == self.inputs


def _check_tensor(tensors: Tensors, role: str, shape: Shape, bits: int | None = None) -> None:
    """Check a tensor: float32 of a shape, or, if ``bits`` is given, this number of bits."""
    _check(tensors.get(role) is not None, f"its tensor `{role}` is missing")
    tensor = tensors[role]
    if bits is not None and tensor.dtype == np.uint8:
        _check(tensor.shape == (-(-bits // 8),), f"`{role}` must be {bits} bits")
        return
    good = tensor.dtype == np.float32 and tensor.shape == shape
    _check(good, f"`{role}` must be {' x '.join(map(str, shape))} numbers of 32 bits")


def _map(shape: Shape) -> tuple[int, int, int]:
    _check(len(shape) == 3, "must read a map, not a flat value")
    return shape[0], shape[1], shape[2]


def _window(side: int, numbers: Numbers, up: bool = False) -> int:
    """Number of outputs along one axis."""
    size, stride, padding = (numbers[name] for name in ("size", "stride", "padding"))
    _check(1 <= size <= 64 and 1 <= stride <= 64 and padding < size, WINDOW_RULE)
    room = side + 2 * padding - size
    return (-(-room // stride) if up else room // stride) + 1


def _convolution(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    size, outputs, groups = numbers["size"], numbers["outputs"], numbers["groups"]
    _check(
        outputs >= 1 and groups >= 1 and channels % groups == outputs % groups == 0,
        "`groups` must divide the channels and the outputs",
    )
    shape = (_window(height, numbers), _window(width, numbers), outputs)
    sides = (side + 2 * numbers["padding"] for side in (height, width))
    _check(math.prod(sides) * channels <= LARGEST, "its padded map would not fit in memory")
    elements = outputs * size * size * (channels // groups)
    _check(elements * groups <= LARGEST, "its weights would not fit in memory")
    _check_tensor(tensors, "weight", (outputs, channels // groups, size, size), elements)
    return shape


def _binary_convolution(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    shape = _convolution(shapes, {**numbers, "groups": 1}, tensors)
    _check(tensors["weight"].dtype == np.uint8, "`weight` must be bits")
    return shape


def _by_channel(*roles: str) -> Callable[[list[Shape], Numbers, Tensors], Shape]:
    def shape(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
        for role in roles:
            _check_tensor(tensors, role, (shapes[0][-1],))
        return shapes[0]

    return shape


def _sign(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    return _by_channel(*tensors)(shapes, numbers, tensors)


def _same(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    _check(all(shape == shapes[0] for shape in shapes), "must read maps of one shape")
    return shapes[0]


def _eight_bits(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    _check(numbers["steps"] >= 1, "`steps` must be at least 1")
    return shapes[0]


def _shuffle(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    groups = numbers["groups"]
    _check(groups >= 1 and _map(shapes[0])[2] % groups == 0, "`groups` must divide the channels")
    return shapes[0]


def _pool(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    up = bool(numbers["ceil"])
    _check(2 * numbers["padding"] <= numbers["size"], WINDOW_RULE)
    _check(not (up and numbers["padding"]), "`ceil` must be 0 if there is padding")
    sides = [_window(side, numbers, up) for side in (height, width)]
    if up:  # the last window must start inside the map
        begins = [(count - 1) * numbers["stride"] for count in sides]
        _check(begins[0] < height and begins[1] < width, WINDOW_RULE)
    return sides[0], sides[1], channels


def _adaptive(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    return numbers["height"], numbers["width"], _map(shapes[0])[2]


def _subsample(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    stride, before, outputs = (numbers[name] for name in ("stride", "before", "outputs"))
    _check(stride >= 1 and before + channels <= outputs, "must have room for its channels")
    return -(-height // stride), -(-width // stride), outputs


def _concat(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, _ = _map(shapes[0])
    _check(
        all(_map(shape)[:2] == (height, width) for shape in shapes),
        "must read maps of one height and width",
    )
    return height, width, sum(shape[2] for shape in shapes)


def _cut(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    height, width, channels = _map(shapes[0])
    _check(numbers["outputs"] <= channels, "`outputs` must be at most the number of channels")
    return height, width, numbers["outputs"]


def _flatten(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    return (math.prod(_map(shapes[0])),)


def _linear(shapes: list[Shape], numbers: Numbers, tensors: Tensors) -> Shape:
    _check(len(shapes[0]) == 1, "must read a flat value")
    outputs = numbers["outputs"]
    _check_tensor(tensors, "bias", (outputs,))
    _check_tensor(tensors, "weight", (outputs, shapes[0][0]))
    return (outputs,)


_WINDOW = ("size", "stride", "padding")

OPERATIONS: dict[str, _Operation] = {
    "sign": _Operation(_sign, tensors=("threshold",)),
    "int8": _Operation(_eight_bits, ("steps",)),
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
    "shuffle": _Operation(_shuffle, ("groups",)),
    "concat": _Operation(_concat, inputs=None),
    "cut": _Operation(_cut, ("outputs",)),
    "flatten": _Operation(_flatten),
    "linear": _Operation(_linear, ("outputs",), ("weight", "bias")),
}
