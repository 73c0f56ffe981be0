"""Residual networks with binary 3x3 convolutions and information recovery.

Sources: He et al., "Deep Residual Learning", CVPR 2016 (the networks); Liu et al., "Bi-Real Net",
ECCV 2018 (a shortcut around every binary convolution); Xue et al., "IR²Net", arXiv 2210.02637
(which of them are used, and what is tapped).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ir2search.models.network import Plan, TappedNetwork, pooled_head
from ir2search.nn import BinaryConv2d, Normed

STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # blocks of two convolutions, by depth


def cifar_resnet(plan: Plan) -> TappedNetwork:
    """Depth 6 n + 2: three stages of w, 2 w and 4 w channels, a free shortcut a convolution."""
    w, units = plan.channels, (plan.depth - 2) // 3
    layers: list[tuple[str, nn.Module]] = [
        ("stem", _small_stem(plan)),
        ("stage1", _stage(plan, ResidualUnit, w, w, units, 1)),
        ("stage2", _stage(plan, ResidualUnit, w, 2 * w, units, 2)),
        ("stage3", _stage(plan, ResidualUnit, 2 * w, 4 * w, units, 2)),
    ]
    return TappedNetwork(plan, layers, pooled_head(4 * w, plan.classes))


def cifar_basic_resnet(plan: Plan) -> TappedNetwork:
    """Depth 18 or 34 for small images: four stages of w to 8 w channels, a shortcut a block."""
    layers: list[tuple[str, nn.Module]] = [("stem", _small_stem(plan))]
    layers += _four_stages(plan, BasicBlock, STAGE_BLOCKS[plan.depth])
    return TappedNetwork(plan, layers, pooled_head(8 * plan.channels, plan.classes))


def imagenet_resnet(plan: Plan) -> TappedNetwork:
    """Depth 18 or 34 for large images: four stages, a shortcut a convolution."""
    w = plan.channels
    stem = Normed(
        nn.Conv2d(plan.image[0], w, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(w),
        plan.make_activation(w),
    )
    convolutions = [2 * blocks for blocks in STAGE_BLOCKS[plan.depth]]
    layers: list[tuple[str, nn.Module]] = [("stem", stem)]
    layers += _four_stages(plan, BiRealUnit, convolutions)
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    return TappedNetwork(plan, layers, pooled_head(8 * w, plan.classes), after_stem=pool)


class ResidualUnit(nn.Module):
    """Binary convolution, BatchNorm, parameter-free shortcut, activation: one feature map on.

    The shortcut takes every second pixel where the stride is 2, and pads new channels with zeros.
    """

    def __init__(self, plan: Plan, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = outputs - inputs
        self.conv = BinaryConv2d(inputs, outputs, stride=stride, binarisation=plan.binarisation)
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = plan.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        shortcut = x
        if self.stride > 1 or self.new_channels:
            shortcut = _Subsampled.apply(x, self.stride, self.new_channels)  # type: ignore[no-untyped-call]
        return self.conv.normed(x, self.bn, self.activation, shortcut)


class _Subsampled(torch.autograd.Function):
    """Every stride-th pixel, among new channels of zeros; copied once each way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, new_channels: int) -> Tensor:
        chosen = x[:, :, ::stride, ::stride]
        count, channels, height, width = chosen.shape
        before = new_channels // 2
        ctx.shape, ctx.place = x.shape, (stride, slice(before, before + channels))
        result = _zeros((count, channels + new_channels, height, width), x)
        result[:, ctx.place[1]] = chosen
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        stride, channels = ctx.place
        result = _zeros(ctx.shape, gradients[0])
        result[:, :, ::stride, ::stride] = gradients[0][:, channels]
        return result, None, None


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    options: Any = {"dtype": like.dtype, "device": like.device}
    return torch.zeros(*shape, **options)


class BasicBlock(nn.Module):
    """Two binary convolutions with a shortcut around both, 1x1 where the shape changes."""

    def __init__(self, plan: Plan, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = BinaryConv2d(inputs, outputs, stride=stride, binarisation=plan.binarisation)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.activation1 = plan.make_activation(outputs)
        self.conv2 = BinaryConv2d(outputs, outputs, binarisation=plan.binarisation)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = Normed(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.activation2 = plan.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        inner = self.conv1.normed(x, self.bn1, self.activation1)
        return self.conv2.normed(inner, self.bn2, self.activation2, self.shortcut(x))


class BiRealUnit(nn.Module):
    """Binary convolution, BatchNorm, shortcut, activation.

    Where the shape changes the shortcut is an average over 2x2 pixels, a full-precision 1x1
    convolution and a BatchNorm.
    """

    def __init__(self, plan: Plan, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = BinaryConv2d(inputs, outputs, stride=stride, binarisation=plan.binarisation)
        self.bn = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = Normed(
                # ceil_mode: maps of an odd size shrink as the convolution shrinks them
                nn.AvgPool2d(2, stride=stride, ceil_mode=True),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        self.activation = plan.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        return self.conv.normed(x, self.bn, self.activation, self.shortcut(x))


_Block = Callable[[Plan, int, int, int], nn.Module]


def _small_stem(plan: Plan) -> nn.Sequential:
    return Normed(
        nn.Conv2d(plan.image[0], plan.channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(plan.channels),
        plan.make_activation(plan.channels),
    )


def _four_stages(plan: Plan, block: _Block, counts: Iterable[int]) -> list[tuple[str, nn.Module]]:
    stages: list[tuple[str, nn.Module]] = []
    inputs = plan.channels
    for index, count in enumerate(counts):
        outputs = plan.channels * 2**index
        stage = _stage(plan, block, inputs, outputs, count, 2 if index else 1)
        stages.append((f"stage{index + 1}", stage))
        inputs = outputs
    return stages


def _stage(
    plan: Plan, block: _Block, inputs: int, outputs: int, count: int, stride: int
) -> nn.Sequential:
    first = block(plan, inputs, outputs, stride)
    return nn.Sequential(first, *(block(plan, outputs, outputs, 1) for _ in range(count - 1)))
