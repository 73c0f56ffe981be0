"""Information recovery: fuse shallow feature maps into the last ones.

Source: Xue et al., "IR²Net", arXiv 2210.02637, section 3.3. The compact fusion uses the cheap
operations of Han et al., "GhostNet", CVPR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ir2search.nn.fused import Normed, is_fusable, pooled_and_joined


class InformationRecovery(nn.Module):
    """Pool the taps to the size of the last maps, concatenate all, and fuse them to n channels.

    Dense fusion is a 1x1 convolution, BatchNorm and activation. Compact fusion is a 1x1 convolution
    to m channels ("primary") and a grouped 3x3 convolution from these to m (s - 1) channels
    ("cheap"), each with BatchNorm and activation. Their outputs are concatenated and cut to n
    channels. s = ceil(n / m) is the smallest ratio that gives n channels.

    Args:
        tap_channels: channels of each tap, in the order of `forward`'s arguments. Without taps,
            `forward` returns the last maps unchanged.
        last_channels: n, channels of the last feature maps and of the result.
        channels: m, width of the compact fusion, from 1 to n - 1; None for a dense fusion.
        group_size: input channels in each group of the cheap convolution; 1 is depthwise.
        activation: makes an activation for a number of channels.

    Raises:
        ValueError: the fusion width is out of range, or ``group_size`` does not divide it.
    """

    def __init__(
        self,
        tap_channels: Sequence[int],
        last_channels: int,
        *,
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
        if channels is None:
            self.primary = fusion_convolution(total, last_channels, 1, 1, activation)
            return
        if not 1 <= channels < last_channels:
            raise ValueError(
                f"the fusion width must be from 1 to {last_channels - 1} channels, "
                f"but got {channels}"
            )
        if channels % group_size:
            raise ValueError(
                f"`group_size` must divide the fusion width {channels}, but got {group_size}"
            )
        copies = math.ceil(last_channels / channels) - 1
        self.primary = fusion_convolution(total, channels, 1, 1, activation)
        self.cheap = fusion_convolution(
            channels, channels * copies, 3, channels // group_size, activation
        )

    def forward(self, last: Tensor, *taps: Tensor) -> Tensor:
        """Fuse the taps into the last feature maps.

        Args:
            last: (N, n, h, w).
            taps: each (N, c_i, H_i, W_i).

        Returns:
            (N, n, h, w).
        """
        if self.primary is None:
            return last
        is_fused = self.training and is_fusable(last)
        joined = pooled_and_joined(last, taps) if is_fused else _pooled_and_joined(last, taps)
        fused: Tensor = self.primary(joined)
        if self.cheap is not None:
            fused = torch.cat([fused, self.cheap(fused)], dim=1)[:, : self.last_channels]
        return fused


def _pooled_and_joined(last: Tensor, taps: Sequence[Tensor]) -> Tensor:
    size = (last.shape[-2], last.shape[-1])
    pooled = [functional.adaptive_avg_pool2d(tap, size) for tap in taps]
    return torch.cat([*pooled, last], dim=1)


class DepthwiseConv2d(nn.Conv2d):
    """A convolution without bias that has a group for each input channel.

    In training on a CPU its input channels are repeated, so that each output has its own. Torch is
    several times faster with as many groups as outputs than with fewer.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Convolve ``input`` (N, in_channels, H, W) to (N, out_channels, H', W')."""
        if not (self.training and is_fusable(input)):
            return super().forward(input)
        repeated = input.repeat_interleave(self.out_channels // self.in_channels, dim=1)
        return functional.conv2d(
            repeated, self.weight, None, self.stride, self.padding, groups=self.out_channels
        )


def fusion_convolution(
    inputs: int, outputs: int, kernel: int, groups: int, activation: Callable[[int], nn.Module]
) -> nn.Sequential:
    """A convolution of a fusion, BatchNorm, and activation.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: side of the kernel in pixels, odd.
        groups: of the convolution.
        activation: makes an activation for a number of channels.
    """
    kind = DepthwiseConv2d if groups == inputs else nn.Conv2d
    return Normed(
        kind(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        activation(outputs),
    )
