"""A trained network as an ONNX model: standard operations, signs as +1 and -1, any batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from torch import Tensor, nn

from ir2search.errors import InputError
from ir2search.models.network import TappedNetwork
from ir2search.models.resnet import BasicBlock, BiRealUnit, ResidualUnit
from ir2search.models.vgg import ConvBlock
from ir2search.nn import BinaryConv2d, InformationRecovery, Normed, ShiftedPReLU

OPSET = 21  # of ONNX 1.16: what onnxruntime 1.20 and later run
INPUT, OUTPUT = "images", "logits"


def onnx_model(network: nn.Module, image: tuple[int, int, int]) -> onnx.ModelProto:
    """The network as ONNX: ``images`` (N, C, H, W) float32 to ``logits`` (N, classes), any N.

    Each layer becomes the operation of its kind, with its own parameters: nothing is traced, so
    that no size of an example is in the model. A sign is ``x >= 0 ? 1 : -1``.

    Args:
        network: in evaluation mode, on any device; it is left as it is.
        image: (channels, height, width) of the images.

    Raises:
        InputError: a layer of a kind that has no form here.
    """
    graph = _Graph()
    shape = helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["N", *image])
    graph.sides[INPUT] = image[1:]
    result = graph.run(network, INPUT)
    graph.nodes.append(helper.make_node("Identity", [result], [OUTPUT]))
    classes = _classes(network)
    logits = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["N", classes])
    made = helper.make_graph(
        graph.nodes, "ir2search", [shape], [logits], list(graph.initializers.values())
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="ir2search"
    )
    model.ir_version = 10  # the format that came with the opset
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """A graph as it grows; `sides` has the height and width of each feature map."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.sides: dict[str, tuple[int, ...]] = {}

    def run(self, module: nn.Module, x: str) -> str:
        """Add a layer on the value ``x``; gives the name of what comes out."""
        for kind in type(module).__mro__:
            if kind in _LAYERS:
                return _LAYERS[kind](self, module, x)
        raise InputError(
            f"a layer of the kind {type(module).__name__} has no form in ONNX here; "
            "export this network as safetensors"
        )

    def add(self, operation: str, *inputs: str, sides: tuple[int, ...] = (), **options: Any) -> str:
        """Add an operation; its result has the sides of its first input unless told otherwise."""
        name = f"{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], name=name, **options))
        self.sides[name] = sides or self.sides.get(inputs[0], ())
        return name

    def constant(self, values: Tensor | np.ndarray | float | Sequence[int]) -> str:
        """A tensor of the model: float32, or int64 for a list of whole numbers."""
        if isinstance(values, Tensor):
            array = values.detach().cpu().numpy().astype(np.float32)
        else:
            whole = isinstance(values, list | tuple)
            array = np.asarray(values, dtype=np.int64 if whole else np.float32)
        name = f"constant_{len(self.initializers)}"
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def pooled(self, x: str, sides: tuple[int, ...]) -> str:
        """Averages over equal parts, as torch's adaptive pooling takes them."""
        if sides == self.sides[x]:
            return x
        (height, width), (h, w) = self.sides[x], sides
        if height % h == 0 and width % w == 0:
            steps = [height // h, width // w]
            return self.add("AveragePool", x, sides=sides, kernel_shape=steps, strides=steps)
        rows = self.add("MatMul", self.constant(_averages(height, h)), x, sides=(h, width))
        return self.add("MatMul", rows, self.constant(_averages(width, w).T), sides=sides)


def _averages(size: int, parts: int) -> np.ndarray:
    """(parts, size): the mean over each part; parts overlap where they do not divide the size."""
    matrix = np.zeros((parts, size), dtype=np.float32)
    for part in range(parts):
        begin, end = part * size // parts, -(-(part + 1) * size // parts)
        matrix[part, begin:end] = 1 / (end - begin)
    return matrix


def _classes(network: nn.Module) -> int:
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return linear[-1].out_features


def _pair(value: Any) -> list[int]:
    return list(value) if isinstance(value, tuple) else [int(value)] * 2


def _outputs(
    sides: tuple[int, ...], kernel: list[int], stride: list[int], padding: list[int], up: bool
) -> tuple[int, ...]:
    """Height and width that a window moving over ``sides`` gives, rounded up or down."""
    spans = [side + 2 * pad - size for side, size, pad in zip(sides, kernel, padding, strict=True)]
    return tuple(
        (-(-span // step) if up else span // step) + 1
        for span, step in zip(spans, stride, strict=True)
    )


def _convolution(graph: _Graph, layer: nn.Conv2d, x: str, weight: Tensor) -> str:
    kernel, stride, padding = (
        _pair(value) for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    inputs = [x, graph.constant(weight)]
    if layer.bias is not None:
        inputs.append(graph.constant(layer.bias))
    return graph.add(
        "Conv",
        *inputs,
        sides=_outputs(graph.sides[x], kernel, stride, padding, up=False),
        kernel_shape=kernel,
        strides=stride,
        pads=padding * 2,
        group=layer.groups,
    )


def _binary_convolution(graph: _Graph, layer: BinaryConv2d, x: str) -> str:
    if layer.threshold is not None:
        x = graph.add("Sub", x, graph.constant(layer.threshold))
    if layer.binarisation.activations == "binary":
        above = graph.add("GreaterOrEqual", x, graph.constant(0.0))
        x = graph.add("Where", above, graph.constant(1.0), graph.constant(-1.0))
    return _convolution(graph, layer, x, layer.signs())


def _norm(graph: _Graph, layer: nn.BatchNorm2d | nn.BatchNorm1d, x: str) -> str:
    parameters = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    named = [graph.constant(each) for each in parameters if each is not None]
    return graph.add("BatchNormalization", x, *named, epsilon=layer.eps)


def _clip(graph: _Graph, layer: nn.Hardtanh, x: str) -> str:
    return graph.add("Clip", x, graph.constant(layer.min_val), graph.constant(layer.max_val))


def _prelu(graph: _Graph, layer: nn.PReLU, x: str) -> str:
    return graph.add("PRelu", x, graph.constant(layer.weight.reshape(-1, 1, 1)))


def _shifted_prelu(graph: _Graph, layer: ShiftedPReLU, x: str) -> str:
    moved = graph.run(layer.prelu, graph.add("Sub", x, graph.constant(layer.gamma)))
    return graph.add("Add", moved, graph.constant(layer.zeta))


def _pool(graph: _Graph, layer: nn.MaxPool2d | nn.AvgPool2d, x: str) -> str:
    kernel, stride, padding = (
        _pair(value) for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    return graph.add(
        "MaxPool" if isinstance(layer, nn.MaxPool2d) else "AveragePool",
        x,
        sides=_outputs(graph.sides[x], kernel, stride, padding, up=layer.ceil_mode),
        kernel_shape=kernel,
        strides=stride,
        pads=padding * 2,
        ceil_mode=int(layer.ceil_mode),
    )


def _linear(graph: _Graph, layer: nn.Linear, x: str) -> str:
    weights = (graph.constant(layer.weight), graph.constant(layer.bias))
    return graph.add("Gemm", x, *weights, transB=1)


def _sequence(graph: _Graph, layers: nn.Sequential, x: str) -> str:
    for layer in layers:
        x = graph.run(layer, x)
    return x


def _residual_unit(graph: _Graph, unit: ResidualUnit, x: str) -> str:
    y = graph.run(unit.bn, graph.run(unit.conv, x))
    shortcut = x
    if unit.stride > 1:
        begin, end, axes = ([0, 0], [2**31, 2**31], [2, 3])
        bounds = (begin, end, axes, [unit.stride] * 2)
        shortcut = graph.add("Slice", shortcut, *map(graph.constant, bounds), sides=graph.sides[y])
    if unit.new_channels:
        before = unit.new_channels // 2
        pads = [0, before, 0, 0, 0, unit.new_channels - before, 0, 0]
        shortcut = graph.add("Pad", shortcut, graph.constant(pads))
    return graph.run(unit.activation, graph.add("Add", y, shortcut))


def _basic_block(graph: _Graph, block: BasicBlock, x: str) -> str:
    inner = graph.run(block.activation1, graph.run(block.bn1, graph.run(block.conv1, x)))
    y = graph.run(block.bn2, graph.run(block.conv2, inner))
    return graph.run(block.activation2, graph.add("Add", y, graph.run(block.shortcut, x)))


def _bireal_unit(graph: _Graph, unit: BiRealUnit, x: str) -> str:
    y = graph.run(unit.bn, graph.run(unit.conv, x))
    return graph.run(unit.activation, graph.add("Add", y, graph.run(unit.shortcut, x)))


def _conv_block(graph: _Graph, block: ConvBlock, x: str) -> str:
    for layer in (block.conv, block.pool, block.bn, block.activation):
        x = graph.run(layer, x)
    return x


def _network(graph: _Graph, network: TappedNetwork, x: str) -> str:
    maps: dict[str, str] = {}
    for name in network.layer_names:
        if len(maps) == 1 and network.has_after_stem:
            x = graph.run(network.get_submodule("after_stem"), x)
        x = maps[name] = graph.run(network.get_submodule(name), x)
    fused = _recovered(graph, network.recovery, x, [maps[name] for name in network.tap_names])
    return graph.run(network.head, fused)


def _recovered(graph: _Graph, recovery: InformationRecovery, last: str, taps: list[str]) -> str:
    if recovery.primary is None:
        return last
    pooled = [graph.pooled(tap, graph.sides[last]) for tap in taps]
    joined = graph.add("Concat", *pooled, last, axis=1, sides=graph.sides[last])
    fused = graph.run(recovery.primary, joined)
    if recovery.cheap is None:
        return fused
    both = graph.add("Concat", fused, graph.run(recovery.cheap, fused), axis=1)
    bounds = ([0], [recovery.last_channels], [1])
    return graph.add("Slice", both, *map(graph.constant, bounds))


_LAYERS: dict[type[nn.Module], Callable[[_Graph, Any, str], str]] = {
    TappedNetwork: _network,
    ResidualUnit: _residual_unit,
    BasicBlock: _basic_block,
    BiRealUnit: _bireal_unit,
    ConvBlock: _conv_block,
    Normed: _sequence,
    nn.Sequential: _sequence,
    nn.Identity: lambda graph, layer, x: x,
    BinaryConv2d: _binary_convolution,
    nn.Conv2d: lambda graph, layer, x: _convolution(graph, layer, x, layer.weight),
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.Hardtanh: _clip,
    nn.PReLU: _prelu,
    ShiftedPReLU: _shifted_prelu,
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool2d: lambda graph, layer, x: graph.add("GlobalAveragePool", x, sides=(1, 1)),
    nn.Flatten: lambda graph, layer, x: graph.add("Flatten", x),
    nn.Linear: _linear,
}
