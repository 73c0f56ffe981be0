"""Residual networks with binary 3x3 convolutions and information recovery.

Sources: He et al., "Deep Residual Learning", CVPR 2016 (the networks); Liu et al., "Bi-Real Net",
ECCV 2018 (a shortcut around every binary convolution); Xue et al., "IR²Net", arXiv 2210.02637
(the choice of networks and taps).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ir2search.models.network import NetworkSpec, TappedNetwork, make_stem, pooled_head
from ir2search.nn import BinaryConv2d, Normed

STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # by depth: blocks of two convolutions


def cifar_resnet(spec: NetworkSpec) -> TappedNetwork:
    """Depth 6 n + 2: three stages of w, 2 w and 4 w channels; each convolution has a shortcut."""
    layers = _layers(spec, make_stem(spec), ResidualUnit, [(spec.depth - 2) // 3] * 3)
    return TappedNetwork(spec, layers, pooled_head(4 * spec.channels, spec.classes))


def cifar_basic_resnet(spec: NetworkSpec) -> TappedNetwork:
    """Depth 18 or 34 for small images: four stages of w to 8 w channels; a shortcut per block."""
    layers = _layers(spec, make_stem(spec), BasicBlock, STAGE_BLOCKS[spec.depth])
    return TappedNetwork(spec, layers, pooled_head(8 * spec.channels, spec.classes))


def imagenet_resnet(spec: NetworkSpec) -> TappedNetwork:
    """Depth 18 or 34 for large images: four stages; each convolution has a shortcut."""
    convolutions = [2 * blocks for blocks in STAGE_BLOCKS[spec.depth]]
    layers = _layers(spec, make_stem(spec, size=7, stride=2), BiRealUnit, convolutions)
    pool, head = nn.MaxPool2d(3, stride=2, padding=1), pooled_head(8 * spec.channels, spec.classes)
    return TappedNetwork(spec, layers, head, after_stem=pool)


class ResidualUnit(nn.Module):
    """Binary convolution, BatchNorm, shortcut without parameters, activation.

    With stride 2 the shortcut takes every second pixel; new channels are zero.
    """

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = outputs - inputs
        self.conv = BinaryConv2d(inputs, outputs, stride=stride, binarisation=spec.binarisation)
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = spec.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        shortcut = x
        if self.stride > 1 or self.new_channels:
            shortcut = _Subsampled.apply(x, self.stride, self.new_channels)  # type: ignore[no-untyped-call]
        return self.conv.normed(x, self.bn, self.activation, shortcut)


class _Subsampled(torch.autograd.Function):
    """Take every stride-th pixel and add channels of zeros, with one copy in each direction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, new_channels: int) -> Tensor:
        chosen = x[:, :, ::stride, ::stride]
        count, channels, height, width = chosen.shape
        before = new_channels // 2
        ctx.shape, ctx.place = x.shape, (stride, slice(before, before + channels))
        result = x.new_zeros((count, channels + new_channels, height, width))
        result[:, ctx.place[1]] = chosen
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        stride, channels = ctx.place
        result = gradients[0].new_zeros(ctx.shape)
        result[:, :, ::stride, ::stride] = gradients[0][:, channels]
        return result, None, None


class BasicBlock(nn.Module):
    """Two binary convolutions with a shortcut around both.

    Where the shape changes, the shortcut is a full-precision 1x1 convolution and a BatchNorm.
    """

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = BinaryConv2d(inputs, outputs, stride=stride, binarisation=spec.binarisation)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.activation1 = spec.make_activation(outputs)
        self.conv2 = BinaryConv2d(outputs, outputs, binarisation=spec.binarisation)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = Normed(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.activation2 = spec.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        inner = self.conv1.normed(x, self.bn1, self.activation1)
        return self.conv2.normed(inner, self.bn2, self.activation2, self.shortcut(x))


class BiRealUnit(nn.Module):
    """Binary convolution, BatchNorm, shortcut, activation.

    Where the shape changes, the shortcut is an average over 2x2 pixels, a full-precision 1x1
    convolution and a BatchNorm.
    """

    def __init__(self, spec: NetworkSpec, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = BinaryConv2d(inputs, outputs, stride=stride, binarisation=spec.binarisation)
        self.bn = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = Normed(
                # ceil_mode: for odd sizes, the same output size as the convolution's
                nn.AvgPool2d(2, stride=stride, ceil_mode=True),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        self.activation = spec.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        return self.conv.normed(x, self.bn, self.activation, self.shortcut(x))


_Block = Callable[[NetworkSpec, int, int, int], nn.Module]


def _layers(
    spec: NetworkSpec, stem: nn.Module, block: _Block, counts: Iterable[int]
) -> list[tuple[str, nn.Module]]:
    """The stem and the stages; each stage after the first halves the sides, doubles the channels.

    Args:
        spec: what to build.
        stem: the first layer.
        block: makes a block from its numbers of inputs and outputs and its stride.
        counts: number of blocks of each stage.
    """
    layers: list[tuple[str, nn.Module]] = [("stem", stem)]
    inputs = spec.channels
    for index, count in enumerate(counts):
        outputs = spec.channels * 2**index
        blocks = [block(spec, inputs, outputs, 2 if index else 1)]
        blocks += [block(spec, outputs, outputs, 1) for _ in range(count - 1)]
        layers.append((f"stage{index + 1}", nn.Sequential(*blocks)))
        inputs = outputs
    return layers
