"""Residual networks with binary convolutions and information recovery.

Sources: He et al., "Deep Residual Learning", CVPR 2016 (the networks); Liu et al., "Bi-Real Net",
ECCV 2018 (a shortcut around every binary convolution); Xue et al., "IR²Net", arXiv 2210.02637
(the choice of networks and taps).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from ir2search.models.families import STAGE_BLOCKS, Stage
from ir2search.models.network import (
    NetworkSpec,
    TappedNetwork,
    inner_convolution,
    make_stem,
    pooled_head,
)
from ir2search.nn import Normed


def cifar_resnet(spec: NetworkSpec) -> TappedNetwork:
    """Depth 6 n + 2: three stages, by default w, 2 w, 4 w; a shortcut per convolution."""
    layers = _layers(spec, ResidualUnit, [(spec.depth - 2) // 3] * 3)
    return TappedNetwork(spec, layers, _head(spec))


def cifar_basic_resnet(spec: NetworkSpec) -> TappedNetwork:
    """Depth 18 or 34 for small images: four stages, by default w to 8 w; a shortcut per block."""
    layers = _layers(spec, BasicBlock, STAGE_BLOCKS[spec.depth])
    return TappedNetwork(spec, layers, _head(spec))


def imagenet_resnet(spec: NetworkSpec) -> TappedNetwork:
    """Depth 18 or 34 for large images: four stages; each convolution has a shortcut."""
    convolutions = [2 * blocks for blocks in STAGE_BLOCKS[spec.depth]]
    layers = _layers(spec, BiRealUnit, convolutions)
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    return TappedNetwork(spec, layers, _head(spec), after_stem=pool)


class ResidualUnit(nn.Module):
    """Binary convolution, BatchNorm, shortcut without parameters, activation.

    With stride 2 the shortcut takes every second pixel. New channels are zero; with fewer outputs
    than inputs, the shortcut has the first channels.
    """

    def __init__(self, spec: NetworkSpec, stage: Stage, inputs: int, stride: int) -> None:
        super().__init__()
        outputs = stage.channels
        self.conv = inner_convolution(spec, stage, inputs, stride)
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = spec.make_activation(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, inputs, H, W) to (N, outputs, H', W'), H' = H / stride rounded up."""
        return self.conv.normed(x, self.bn, self.activation, x)


class BasicBlock(nn.Module):
    """Two binary convolutions with a shortcut around both.

    Where the shape changes, the shortcut is a full-precision 1x1 convolution and a BatchNorm.
    """

    def __init__(self, spec: NetworkSpec, stage: Stage, inputs: int, stride: int) -> None:
        super().__init__()
        outputs = stage.channels
        self.conv1 = inner_convolution(spec, stage, inputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.activation1 = spec.make_activation(outputs)
        self.conv2 = inner_convolution(spec, stage, outputs)
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

    def __init__(self, spec: NetworkSpec, stage: Stage, inputs: int, stride: int) -> None:
        super().__init__()
        outputs = stage.channels
        self.conv = inner_convolution(spec, stage, inputs, stride)
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


_Block = Callable[[NetworkSpec, Stage, int, int], nn.Module]


def _layers(spec: NetworkSpec, block: _Block, counts: Iterable[int]) -> list[tuple[str, nn.Module]]:
    """The stem and the stages; each stage after the first halves the sides of the maps.

    Args:
        spec: what to build.
        block: makes a block of a stage from its number of inputs and its stride.
        counts: number of blocks of each stage.
    """
    layers: list[tuple[str, nn.Module]] = [("stem", make_stem(spec))]
    inputs = spec.stem.channels
    for index, (stage, count) in enumerate(zip(spec.stages, counts, strict=True)):
        blocks = [block(spec, stage, inputs, 2 if index else 1)]
        blocks += [block(spec, stage, stage.channels, 1) for _ in range(count - 1)]
        layers.append((stage.name, nn.Sequential(*blocks)))
        inputs = stage.channels
    return layers


def _head(spec: NetworkSpec) -> nn.Module:
    return pooled_head(spec.stages[-1].channels, spec.classes)
