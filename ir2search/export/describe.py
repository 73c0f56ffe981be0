"""Describe a network as a graph, for the runtime and for ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from ir2search.errors import CandidateError, WeightsError
from ir2search.models.network import TappedNetwork
from ir2search.models.resnet import BasicBlock, BiRealUnit, ResidualUnit
from ir2search.models.vgg import ConvBlock
from ir2search.nn import (
    BinaryConv2d,
    DepthwiseConv2d,
    InformationRecovery,
    ShiftedPReLU,
    Thermometer,
)
from ir2search.nn.estimators import STEPS
from ir2search.runtime.graph import Array, Graph, GraphBuilder
from ir2search.space import Candidate, build


def describe(network: nn.Module, image: tuple[int, int, int]) -> Graph:
    """The graph of a network in evaluation mode.

    Args:
        network: a network or a sequence of layers; all layers are of this package.
        image: (channels, height, width) of an image.

    Raises:
        CandidateError: a layer cannot be exported.
        WeightsError: the network is too large for the runtime.
    """
    builder = GraphBuilder(image)
    _walk(builder, network, 0, "")
    return builder.graph()


def candidate_graph(candidate: Candidate) -> Graph:
    """The graph of a candidate for the runtime, with untrained weights.

    Raises:
        CandidateError: a layer cannot be exported, or the network is too large for the runtime.
    """
    try:
        return describe(build(candidate).eval(), candidate.image)
    except WeightsError as error:
        raise CandidateError(str(error)) from None


def _network(to: GraphBuilder, network: TappedNetwork, x: int, name: str) -> int:
    maps: list[int] = []
    for layer in network.layer_names:
        if len(maps) == 1 and network.has_after_stem:
            x = _walk(to, network.get_submodule("after_stem"), x, "after_stem")
        x = _walk(to, network.get_submodule(layer), x, layer)
        maps.append(x)
    taps = [maps[network.layer_names.index(tap)] for tap in network.tap_names]
    fused = _recovery(to, network.recovery, x, taps)
    return _walk(to, network.head, fused, "head")


def _recovery(to: GraphBuilder, recovery: InformationRecovery, last: int, taps: list[int]) -> int:
    if recovery.primary is None:
        return last
    height, width, _ = to.shape(last)
    pooled = [
        to.add("adaptive_pool", [tap], "recovery.pool", height=height, width=width) for tap in taps
    ]
    joined = to.add("concat", [*pooled, last], "recovery.concat")
    fused = _walk(to, recovery.primary, joined, "recovery.primary")
    if recovery.cheap is None:
        return fused
    cheap = _walk(to, recovery.cheap, fused, "recovery.cheap")
    both = to.add("concat", [fused, cheap], "recovery.concat")
    return to.add("cut", [both], "recovery.cut", outputs=recovery.last_channels)


def _walk(to: GraphBuilder, module: nn.Module, x: int, name: str) -> int:
    kind = nn.Sequential if isinstance(module, nn.Sequential) else type(module)
    if kind not in _WALKS:
        raise CandidateError(
            f"{name}: a {kind.__name__} cannot be exported; use the layers of this package"
        )
    return _WALKS[kind](to, module, x, name)


def _sequential(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    for child, part in module.named_children():
        x = _walk(to, part, x, f"{name}.{child}" if name else child)
    return x


def _residual_unit(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    shortcut, outputs = x, module.conv.out_channels
    stride, new_channels = module.conv.stride[0], module.conv.new_channels
    if new_channels < 0:
        shortcut = to.add("cut", [x], f"{name}.shortcut", outputs=outputs)
    if stride > 1 or new_channels > 0:
        numbers = {"stride": stride, "before": max(0, new_channels) // 2, "outputs": outputs}
        shortcut = to.add("subsample", [shortcut], f"{name}.shortcut", **numbers)
    return _residual(to, module.conv, module.bn, module.activation, x, shortcut, name)


def _bireal_unit(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    shortcut = _walk(to, module.shortcut, x, f"{name}.shortcut")
    return _residual(to, module.conv, module.bn, module.activation, x, shortcut, name)


def _basic_block(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    shortcut = _walk(to, module.shortcut, x, f"{name}.shortcut")
    inner = _walk(to, module.conv1, x, f"{name}.conv1")
    inner = _walk(to, module.bn1, inner, f"{name}.bn1")
    inner = _walk(to, module.activation1, inner, f"{name}.activation1")
    return _residual(
        to, module.conv2, module.bn2, module.activation2, inner, shortcut, name, "conv2"
    )


def _residual(
    to: GraphBuilder, conv: nn.Module, norm: nn.Module, activation: nn.Module, x: int,
    shortcut: int, name: str, part: str = "conv",
) -> int:  # fmt: skip
    y = _walk(to, conv, x, f"{name}.{part}")
    y = _walk(to, norm, y, f"{name}.bn")
    y = to.add("add", [y, shortcut], f"{name}.add")
    return _walk(to, activation, y, f"{name}.activation")


def _vgg_block(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    for part in ("conv", "pool", "bn", "activation"):
        x = _walk(to, getattr(module, part), x, f"{name}.{part}")
    return x


def _binary_conv(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    binarisation = module.binarisation
    if binarisation.activations == "binary":
        threshold = module.threshold
        tensors = {} if threshold is None else {"threshold": _numbers(threshold.flatten())}
        x = to.add("sign", [x], name, tensors)
    elif binarisation.activations == "int8":
        x = to.add("int8", [x], name, steps=STEPS)
    numbers = _window(module) | {"outputs": module.out_channels}
    signs = module.signs().detach()
    weight = _bits(signs) if binarisation.weights == "binary" else _numbers(signs)
    if module.groups > 1:
        x = to.add("shuffle", [x], name, groups=module.groups)
    elif module.is_binary:
        return to.add("binary_conv", [x], name, {"weight": weight}, **numbers)
    return to.add("conv", [x], name, {"weight": weight}, groups=module.groups, **numbers)


def _thermometer(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    channels, levels = to.shape(x)[-1], _numbers(module.levels)
    copies = to.add("concat", [x] * len(levels), name)
    shift = np.repeat(-levels, channels)
    return to.add("norm", [copies], name, {"scale": np.ones_like(shift), "shift": shift})


def _conv(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    if module.bias is not None or module.padding_mode != "zeros" or module.dilation != (1, 1):
        raise CandidateError(f"{name}: a convolution with bias or dilation cannot be exported")
    numbers = _window(module) | {"outputs": module.out_channels, "groups": module.groups}
    return to.add("conv", [x], name, {"weight": _numbers(module.weight)}, **numbers)


def _norm(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    if module.running_mean is None or module.weight is None:
        raise CandidateError(
            f"{name}: a BatchNorm without running statistics or weights cannot be exported"
        )
    # x * scale + shift, rounded as in the training graph
    variance = _numbers(module.running_var) + np.float32(module.eps)
    scale = _numbers(module.weight) * (np.float32(1) / np.sqrt(variance))
    shift = _numbers(module.bias) - _numbers(module.running_mean) * scale
    return to.add("norm", [x], name, {"scale": scale, "shift": shift})


def _hardtanh(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    if (module.min_val, module.max_val) != (-1, 1):
        raise CandidateError(f"{name}: only a Hardtanh from -1 to 1 can be exported")
    return to.add("hardtanh", [x], name)


def _prelu(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    return to.add("prelu", [x], name, {"slope": _numbers(module.weight)})


def _shifted_prelu(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    tensors = {
        "knee": _numbers(module.gamma.flatten()),
        "slope": _numbers(module.prelu.weight),
        "rise": _numbers(module.zeta.flatten()),
    }
    return to.add("rprelu", [x], name, tensors)


def _pool(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    op = "max_pool" if isinstance(module, nn.MaxPool2d) else "avg_pool"
    size, stride, padding = (
        _side(value) for value in (module.kernel_size, module.stride, module.padding)
    )
    numbers = {"size": size, "stride": stride, "padding": padding, "ceil": int(module.ceil_mode)}
    return to.add(op, [x], name, None, **numbers)


def _adaptive_pool(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    side = _side(module.output_size)
    return to.add("adaptive_pool", [x], name, height=side, width=side)


def _linear(to: GraphBuilder, module: Any, x: int, name: str) -> int:
    tensors = {"weight": _numbers(module.weight), "bias": _numbers(module.bias)}
    return to.add("linear", [x], name, tensors, outputs=module.out_features)


_WALKS: dict[type[nn.Module], Callable[[GraphBuilder, Any, int, str], int]] = {
    TappedNetwork: _network,
    nn.Sequential: _sequential,
    ResidualUnit: _residual_unit,
    BiRealUnit: _bireal_unit,
    BasicBlock: _basic_block,
    ConvBlock: _vgg_block,
    Thermometer: _thermometer,
    BinaryConv2d: _binary_conv,
    nn.Conv2d: _conv,
    DepthwiseConv2d: _conv,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.Hardtanh: _hardtanh,
    nn.PReLU: _prelu,
    ShiftedPReLU: _shifted_prelu,
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.AdaptiveAvgPool2d: _adaptive_pool,
    nn.Identity: lambda to, module, x, name: x,
    nn.Flatten: lambda to, module, x, name: to.add("flatten", [x], name),
    nn.Linear: _linear,
}


def _window(module: Any) -> dict[str, int]:
    return {
        "size": _side(module.kernel_size),
        "stride": _side(module.stride),
        "padding": _side(module.padding),
    }


def _side(value: Any) -> int:
    """The size of a square window."""
    one, other = value if isinstance(value, tuple) else (value, value)
    if one != other:
        raise CandidateError(f"windows must be square, but got {one} x {other}")
    return int(one)


def _numbers(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy().astype(np.float32)


def _bits(signs: Tensor) -> Array:
    """(outputs, inputs, k, k) of +1 and -1 as bits, in the order of `ir2search.runtime.packed`."""
    ones = (signs.cpu().numpy() > 0).transpose(0, 2, 3, 1)
    return np.packbits(ones.ravel(), bitorder="little")
