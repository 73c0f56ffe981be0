"""The depths, taps and widths of each family of networks. This module does not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ir2search.choices import StemKind
from ir2search.registry import Registry


@dataclass(frozen=True)
class Stem:
    """The first convolution of a network.

    A kernel of even side covers the image in patches without overlap. This is a 1x1 convolution
    after space-to-depth, as in Ridnik et al., "TResNet", WACV 2021.

    Attributes:
        channels: of its output.
        kernel: side of its square kernel, in pixels.
        stride: step between outputs, in pixels; equal to an even ``kernel``.
        kind: ``"real"`` for full precision; ``"int8"`` for pixels of 8 bits and binary weights;
            ``"thermometer"`` for pixels as signs and binary weights.
        levels: of the thermometer.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    kind: StemKind = "real"
    levels: int = 8

    @property
    def padding(self) -> int:
        """Zeros around the image, in pixels."""
        return self.kernel // 2 if self.kernel % 2 else 0

    def side(self, pixels: int) -> int:
        """Height or width of its output, for an image of this height or width."""
        return (pixels + 2 * self.padding - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class Stage:
    """A layer after the stem: a stage of a residual network, or one convolution.

    Attributes:
        name: of the layer.
        channels: of its output.
        kernel: side of the square kernels of its binary convolutions, in pixels.
        groups: of these convolutions.
    """

    name: str
    channels: int
    kernel: int = 3
    groups: int = 1


@dataclass(frozen=True)
class Family:
    """One family of backbones.

    Attributes:
        taps: names of the shallow feature maps that recovery can use, from shallow to deep.
        base_width: channels of the stem at width multiplier 1.
        channel_factors: channels of each tap and of the last feature maps, as multiples of the
            channels of the stem.
        min_side: smallest height and width of an image, in pixels.
        depth: the default depth.
        depth_rule: the rule for depths in words, for messages.
        has_depth: returns whether the family has a network of this depth.
        stages: names of the layers after the stem, if a candidate can set the shape of each. The
            builder then reads the shapes from the `NetworkSpec`. Empty for a family whose shape
            depends on the depth and the width alone.
        stem_kernel: default side of the stem's kernel, in pixels.
        stem_stride: default stride of the stem, in pixels.
        layers: returns the names of all inner convolutions or of the units that hold one each, from
            shallow to deep, at a depth. A candidate can set the precision of each. Without names
            it can set the precision of each of the ``stages``.
    """

    taps: tuple[str, ...]
    base_width: int
    channel_factors: tuple[int, ...]
    min_side: int
    depth: int
    depth_rule: str
    has_depth: Callable[[int], bool]
    stages: tuple[str, ...] = ()
    stem_kernel: int = 3
    stem_stride: int = 1
    layers: Callable[[int], tuple[str, ...]] = lambda depth: ()

    def base_channels(self, width: float) -> int:
        """Channels that ``channel_factors`` multiply, at this width: rounded, at least 1."""
        return max(1, round(self.base_width * width))

    def channels(self, width: float, scales: Sequence[float] = ()) -> tuple[int, ...]:
        """Channels of each tap and of the last maps, each rounded and at least 1.

        Args:
            width: width multiplier.
            scales: a further factor for each tap and for the last maps; by default 1.
        """
        base = self.base_channels(width)
        scales = scales or (1.0,) * len(self.channel_factors)
        pairs = zip(self.channel_factors, scales, strict=True)
        return tuple(max(1, round(base * factor * scale)) for factor, scale in pairs)

    def shape_defaults(self) -> dict[str, Any]:
        """The shape of a network that sets only depth and width, by the candidate's fields."""
        return {
            "stem": "real",
            "stem_levels": 8,
            "stem_width": 1.0,
            "stem_kernel": self.stem_kernel,
            "stem_stride": self.stem_stride,
            "widths": (1.0,) * len(self.stages),
            "kernels": (3,) * len(self.stages),
            "groups": (1,) * len(self.stages),
        }


STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # by depth: blocks of two convolutions


def _in_stages(counts: Iterable[int], parts: Sequence[str] = ("",)) -> tuple[str, ...]:
    """Names of layers, for the number of units of each stage and the parts of a unit."""
    return tuple(
        f"stage{stage}.{unit}{part}"
        for stage, count in enumerate(counts, 1)
        for unit in range(count)
        for part in parts
    )


_RESNET = Family(
    taps=("stem", "stage1", "stage2", "stage3"),
    base_width=64,
    channel_factors=(1, 1, 2, 4, 8),
    min_side=8,
    depth=18,
    depth_rule="18 or 34",
    has_depth=lambda depth: depth in (18, 34),
    stages=("stage1", "stage2", "stage3", "stage4"),
    layers=lambda depth: _in_stages(STAGE_BLOCKS[depth], (".conv1", ".conv2")),
)
_BUILTIN: dict[str, Family] = {
    "cifar-resnet": Family(
        taps=("stem", "stage1", "stage2"),
        base_width=16,
        channel_factors=(1, 1, 2, 4),
        min_side=4,
        depth=20,
        depth_rule="6 n + 2 (8, 14, 20, 26, ...)",
        has_depth=lambda depth: depth >= 8 and depth % 6 == 2,
        stages=("stage1", "stage2", "stage3"),
        layers=lambda depth: _in_stages([(depth - 2) // 3] * 3),
    ),
    "cifar-basic-resnet": _RESNET,
    "cifar-vgg": Family(
        taps=("stem", "conv1", "conv2", "conv3", "conv4"),
        base_width=128,
        channel_factors=(1, 1, 2, 2, 4, 4),
        min_side=8,
        depth=7,
        depth_rule="7",
        has_depth=lambda depth: depth == 7,
        stages=("conv1", "conv2", "conv3", "conv4", "conv5"),
        layers=lambda depth: ("conv1", "conv2", "conv3", "conv4", "conv5"),
    ),
    "imagenet-resnet": replace(
        _RESNET,
        min_side=32,
        stem_kernel=7,
        stem_stride=2,
        layers=lambda depth: _in_stages(2 * blocks for blocks in STAGE_BLOCKS[depth]),
    ),
}

FAMILIES: Registry[Family] = Registry("backbone", _BUILTIN)
