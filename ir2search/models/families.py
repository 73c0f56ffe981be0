"""The depths, taps and widths of each family of networks. This module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ir2search.extensions import Registry


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
    """

    taps: tuple[str, ...]
    base_width: int
    channel_factors: tuple[int, ...]
    min_side: int
    depth: int
    depth_rule: str
    has_depth: Callable[[int], bool]

    def stem_channels(self, width: float) -> int:
        """Channels of the stem at width multiplier ``width``: rounded, at least 1."""
        return max(1, round(self.base_width * width))

    def last_channels(self, width: float) -> int:
        """Channels of the last feature maps at width multiplier ``width``."""
        return self.stem_channels(width) * self.channel_factors[-1]


_RESNET = Family(
    taps=("stem", "stage1", "stage2", "stage3"),
    base_width=64,
    channel_factors=(1, 1, 2, 4, 8),
    min_side=8,
    depth=18,
    depth_rule="18 or 34",
    has_depth=lambda depth: depth in (18, 34),
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
    ),
    "imagenet-resnet": replace(_RESNET, min_side=32),
}

FAMILIES: Registry[Family] = Registry("backbone", _BUILTIN)
