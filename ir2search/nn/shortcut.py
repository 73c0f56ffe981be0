"""A shortcut without parameters around a convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def subsampled(x: Tensor, stride: int, new_channels: int) -> Tensor:
    """Take every stride-th pixel, and add channels of zeros before and after, or cut the last.

    Args:
        x: (N, C, H, W).
        stride: step between the pixels that are taken.
        new_channels: number of channels of zeros, or minus the number of channels to cut.

    Returns:
        (N, C + new_channels, H', W') with H' = H / stride rounded up; x itself if nothing changes.
    """
    if stride == 1 and new_channels == 0:
        return x
    result: Tensor = _Subsampled.apply(x, stride, new_channels)  # type: ignore[no-untyped-call]
    return result


class _Subsampled(torch.autograd.Function):
    """Take every stride-th pixel, and add channels of zeros or cut the last channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, new_channels: int) -> Tensor:
        outputs = x.shape[1] + new_channels
        chosen = x[:, :outputs, ::stride, ::stride]
        count, channels, height, width = chosen.shape
        before = max(0, new_channels) // 2
        ctx.shape, ctx.place = x.shape, (stride, slice(before, before + channels))
        result = x.new_zeros((count, outputs, height, width))
        result[:, ctx.place[1]] = chosen
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        stride, channels = ctx.place
        result = gradients[0].new_zeros(ctx.shape)
        result[:, : channels.stop - channels.start, ::stride, ::stride] = gradients[0][:, channels]
        return result, None, None
