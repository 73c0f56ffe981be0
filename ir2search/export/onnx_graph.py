"""Translate a graph to ONNX, operation by operation; binary weights become +1 and -1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ir2search.export.describe import describe
from ir2search.extras import require
from ir2search.runtime.graph import Array, Graph, Node, Shape
from ir2search.runtime.weights import stored_bits
from ir2search.zoo.onnx_file import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 21, 10  # onnxruntime reads these since version 1.20


def onnx_model(network: nn.Module, image: tuple[int, int, int]) -> onnx.ModelProto:
    """The network as ONNX: ``images`` (N, C, H, W) float32 to ``logits`` (N, classes), any N.

    Each layer becomes the operation of its kind, with its own parameters. Nothing is traced, so
    the model does not depend on the size of an example. A sign is ``x >= 0 ? 1 : -1``.

    Args:
        network: in evaluation mode, on any device; it is not changed.
        image: (channels, height, width) of the images.

    Raises:
        InputError: a layer cannot be exported.
        MissingExtraError: onnx is not installed.
    """
    graph = describe(network, image)
    package = require("onnx", extra="export")
    helper = package.helper
    found = _Model(graph, package)
    for index, node in enumerate(graph.nodes):
        found.add(index, node)
    height, width, channels = graph.image
    number = package.TensorProto.FLOAT
    images = helper.make_tensor_value_info(INPUT, number, ["N", channels, height, width])
    logits = helper.make_tensor_value_info(OUTPUT, number, ["N", graph.classes])
    model: onnx.ModelProto = helper.make_model(
        helper.make_graph(found.nodes, "ir2search", [images], [logits], found.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ir2search",
    )
    package.checker.check_model(model, full_check=True)
    return model


class _Model:
    """The nodes and constants of an ONNX model under construction."""

    def __init__(self, graph: Graph, package: Any) -> None:
        self.graph, self._onnx = graph, package
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def name(self, value: int) -> str:
        """The name of a value; value 0 is the input of the graph."""
        if value == 0:
            return INPUT
        return OUTPUT if value == len(self.graph.nodes) else f"value{value}"

    def constant(self, array: Array) -> str:
        """Add a constant, and return its name."""
        name = f"constant{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def emit(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node, and return the name of its output."""
        self.nodes.append(self._onnx.helper.make_node(op, inputs, [output], **attributes))
        return output

    def add(self, index: int, node: Node) -> None:
        """Append a node of the graph."""
        inputs, output = [self.name(value) for value in node.inputs], self.name(index + 1)
        _WRITERS[node.op](self, node, inputs, output, self.graph.shape(node.inputs[0]))


def _channels(vector: Array) -> Array:
    return vector.reshape(-1, 1, 1)


def _sign(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    least = _channels(node.tensors.get("threshold", np.zeros(source[-1], np.float32)))
    is_up = to.emit("GreaterOrEqual", [*inputs, to.constant(least)], f"{output}.up")
    levels = [to.constant(np.array(level, np.float32)) for level in (1, -1)]
    to.emit("Where", [is_up, *levels], output)


def _eight_bits(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    steps, *ends = (
        to.constant(np.array(each, np.float32)) for each in (node.numbers["steps"], -128, 127)
    )
    rounded = to.emit(
        "Round", [to.emit("Mul", [*inputs, steps], f"{output}.steps")], f"{output}.whole"
    )
    to.emit("Div", [to.emit("Clip", [rounded, *ends], f"{output}.bits"), steps], output)


def _conv(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    groups = node.numbers.get("groups", 1)
    weights = node.tensors["weight"]
    if weights.dtype == np.uint8:
        ones = stored_bits(node, source[2] // groups)
        weights = ones.transpose(0, 3, 1, 2).astype(np.float32) * 2 - 1
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    to.emit(
        "Conv", [*inputs, to.constant(weights)], output, group=groups,
        kernel_shape=[size] * 2, strides=[stride] * 2, pads=[padding] * 4,
    )  # fmt: skip


def _norm(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    """As BatchNormalization, which runtimes fold into the convolution before it."""
    scale, shift = node.tensors["scale"], node.tensors["shift"]
    vectors = [
        to.constant(each) for each in (scale, shift, np.zeros_like(scale), np.ones_like(scale))
    ]
    to.emit("BatchNormalization", [*inputs, *vectors], output, epsilon=0.0)


def _hardtanh(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    ends = [to.constant(np.array(end, np.float32)) for end in (-1, 1)]
    to.emit("Clip", [*inputs, *ends], output)


def _prelu(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    to.emit("PRelu", [*inputs, to.constant(_channels(node.tensors["slope"]))], output)


def _rprelu(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    knee, slope, rise = (
        to.constant(_channels(node.tensors[role])) for role in ("knee", "slope", "rise")
    )
    moved = to.emit("Sub", [*inputs, knee], f"{output}.moved")
    bent = to.emit("PRelu", [moved, slope], f"{output}.bent")
    to.emit("Add", [bent, rise], output)


def _max_pool(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    to.emit(
        "MaxPool", inputs, output, kernel_shape=[size] * 2, strides=[stride] * 2,
        pads=[padding] * 4, ceil_mode=int(bool(node.numbers["ceil"])),
    )  # fmt: skip


def _average(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    """Means over windows. Windows of different sizes become products with two matrices."""
    height, width = (
        _windows(node, side, count) for side, count in zip(source[:2], node.shape[:2], strict=True)
    )
    sizes = [(ends[1] - ends[0]) for ends in (height, width)]
    even = all(
        (size == size[0]).all() and (ends[0] == np.arange(len(size)) * size[0]).all()
        for size, ends in zip(sizes, (height, width), strict=True)
    )
    if even:
        kernel = [int(size[0]) for size in sizes]
        to.emit("AveragePool", inputs, output, kernel_shape=kernel, strides=kernel)
        return
    rows = to.constant(_means(height, source[0]))
    columns = to.constant(_means(width, source[1]).T)
    to.emit("MatMul", [to.emit("MatMul", [rows, *inputs], f"{output}.rows"), columns], output)


def _windows(node: Node, side: int, outputs: int) -> Array:
    """(2, outputs): starts and ends of windows along one axis, clipped to the map."""
    places = np.arange(outputs, dtype=np.int64)
    if node.op == "adaptive_pool":
        return np.stack([places * side // outputs, -(-(places + 1) * side // outputs)])
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    begin = places * stride - padding
    return np.stack([begin.clip(0), (begin + size).clip(max=side)])


def _means(windows: Array, side: int) -> Array:
    """(outputs, side): one over the size of a window for each place inside it, else 0."""
    places = np.arange(side)
    inside = (places >= windows[0][:, None]) & (places < windows[1][:, None])
    return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _subsample(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    stride, before, outputs = (node.numbers[name] for name in ("stride", "before", "outputs"))
    last = np.iinfo(np.int64).max
    cut = [np.array(values, np.int64) for values in ([0, 0], [last] * 2, [2, 3], [stride] * 2)]
    chosen = to.emit("Slice", [*inputs, *map(to.constant, cut)], f"{output}.chosen")
    after = outputs - before - source[2]
    pads = np.array([0, before, 0, 0, 0, after, 0, 0], np.int64)
    to.emit("Pad", [chosen, to.constant(pads)], output)


def _cut(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    cut = [np.array([value], np.int64) for value in (0, node.numbers["outputs"], 1)]
    to.emit("Slice", [*inputs, *map(to.constant, cut)], output)


def _shuffle(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    dealt = np.arange(source[2]).reshape(node.numbers["groups"], -1).T.ravel()
    to.emit("Gather", [*inputs, to.constant(dealt)], output, axis=1)


def _linear(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
    vectors = [to.constant(node.tensors[role]) for role in ("weight", "bias")]
    to.emit("Gemm", [*inputs, *vectors], output, transB=1)


def _plain(op: str, **attributes: Any) -> Callable[..., None]:
    def write(to: _Model, node: Node, inputs: list[str], output: str, source: Shape) -> None:
        to.emit(op, inputs, output, **attributes)

    return write


_WRITERS: dict[str, Callable[[_Model, Node, list[str], str, Shape], None]] = {
    "sign": _sign,
    "int8": _eight_bits,
    "binary_conv": _conv,
    "conv": _conv,
    "norm": _norm,
    "add": _plain("Add"),
    "hardtanh": _hardtanh,
    "prelu": _prelu,
    "rprelu": _rprelu,
    "max_pool": _max_pool,
    "avg_pool": _average,
    "adaptive_pool": _average,
    "subsample": _subsample,
    "shuffle": _shuffle,
    "concat": _plain("Concat", axis=1),
    "cut": _cut,
    "flatten": _plain("Flatten", axis=1),
    "linear": _linear,
}
