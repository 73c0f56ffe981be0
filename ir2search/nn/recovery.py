"""Information recovery: fuse pooled shallow feature maps into the last ones.

Source: Xue et al., "IR²Net", arXiv 2210.02637, section 3.3; the compact fusion follows the cheap
operations of Han et al., "GhostNet", CVPR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ir2search.nn.fused import Normed

Fusion = Literal["dense", "compact"]


def fusion_channels(last_channels: int, ratio: float) -> int:
    """Fusion width m = ceil(n / s) of a compact fusion to n channels with ratio s."""
    return math.ceil(last_channels / ratio)


class InformationRecovery(nn.Module):
    """Pool each tap to the last maps' size, concatenate, fuse back to the last maps' width n.

    Dense fusion: 1x1 convolution, BatchNorm, activation. Compact fusion: a 1x1 convolution to m
    channels ("primary"), a 3x3 grouped convolution from those to m (s - 1) channels ("cheap"),
    each with BatchNorm and activation; both concatenated and cut to n channels. From m follows
    s = ceil(n / m), the least with m s >= n: a larger s would only compute channels to cut.

    Args:
        tap_channels: channels of each tap, in the order in which `forward` gets them; none at
            all leaves the last maps as they are.
        last_channels: n, channels of the last feature maps and of the result.
        fusion: ``"dense"`` or ``"compact"``.
        ratio: s of the compact fusion; or
        channels: m of the compact fusion, from 1 to n - 1. Exactly one of the two is given.
        group_size: input channels in a group of the cheap convolution: 1 is depthwise.
        activation: makes the activation after each BatchNorm for a number of channels.

    Raises:
        ValueError: a fusion width out of range, or groups that do not divide it.
    """

    def __init__(
        self,
        tap_channels: Sequence[int],
        last_channels: int,
        *,
        fusion: Fusion = "compact",
        ratio: float | None = None,
        channels: int | None = None,
        group_size: int = 1,
        activation: Callable[[int], nn.Module] = lambda channels: nn.Hardtanh(),
    ) -> None:
        super().__init__()
        self.last_channels = last_channels
        self.primary: nn.Module | None = None
        self.cheap: nn.Module | None = None
        if not tap_channels:
            return
        total = sum(tap_channels) + last_channels
        if fusion == "dense":
            self.primary = _convolution(total, last_channels, 1, 1, activation)
            return
        m = _compact_width(last_channels, ratio, channels, group_size)
        s = math.ceil(last_channels / m)
        self.primary = _convolution(total, m, 1, 1, activation)
        self.cheap = _convolution(m, m * (s - 1), 3, m // group_size, activation)

    def forward(self, last: Tensor, *taps: Tensor) -> Tensor:
        """Fuse ``taps``, each (N, c_i, H_i, W_i), into ``last`` (N, n, h, w).

        Returns:
            (N, n, h, w).
        """
        if self.primary is None:
            return last
        size = (last.shape[-2], last.shape[-1])
        pooled = [functional.adaptive_avg_pool2d(tap, size) for tap in taps]
        fused: Tensor = self.primary(torch.cat([*pooled, last], dim=1))
        if self.cheap is not None:
            fused = torch.cat([fused, self.cheap(fused)], dim=1)[:, : self.last_channels]
        return fused


def _compact_width(n: int, ratio: float | None, channels: int | None, group_size: int) -> int:
    if (ratio is None) == (channels is None):
        raise ValueError("a compact fusion takes either `ratio` or `channels`, not both or none")
    m = channels if channels is not None else fusion_channels(n, ratio or 1)
    if not 1 <= m < n:
        raise ValueError(f"the fusion width must be from 1 to {n - 1} channels, but got {m}")
    if m % group_size:
        raise ValueError(f"`group_size` must divide the fusion width {m}, but got {group_size}")
    return m


def _convolution(
    inputs: int, outputs: int, kernel: int, groups: int, activation: Callable[[int], nn.Module]
) -> nn.Sequential:
    return Normed(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        activation(outputs),
    )
