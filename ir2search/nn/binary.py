"""Sign functions with two levels and surrogate gradients, and the convolution made of them.

``torch.sign`` has three levels (``sign(0) = 0``), which no 1-bit kernel can hold. Here zero maps
to +1, in the forward pass of every estimator:

    q(x) = +1 if x >= 0 else -1
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Precision = Literal["binary", "real"]


def sign(x: Tensor) -> Tensor:
    """q(x): +1 where ``x >= 0``, else -1, in the dtype and shape of ``x``; no gradient."""
    return x.ge(0).to(x.dtype).mul_(2).sub_(1)


class _PolynomialSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope = x.abs().mul_(-2).add_(2).clamp_(min=0)
        return slope.mul_(gradients[0])


class _StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * x.abs().le(1)


def polynomial_sign(x: Tensor) -> Tensor:
    """Sign with the piecewise-polynomial surrogate gradient, used for activations.

    q(x) = +1 if x >= 0 else -1;
    dq/dx = 2 + 2x on [-1, 0), 2 - 2x on [0, 1), 0 elsewhere, that is max(0, 2 - 2|x|).

    Source: Liu et al., "Bi-Real Net", ECCV 2018, eq. 6.

    Args:
        x: any shape, floating point.
    """
    return _PolynomialSign.apply(x)  # type: ignore[no-untyped-call]


def straight_through_sign(x: Tensor) -> Tensor:
    """Sign with the clipped straight-through surrogate gradient, used for weights.

    q(x) = +1 if x >= 0 else -1;
    dq/dx = 1 if |x| <= 1 else 0.

    Source: Hubara et al., "Binarized Neural Networks", NeurIPS 2016, eq. 4.

    Args:
        x: any shape, floating point.
    """
    return _StraightThroughSign.apply(x)  # type: ignore[no-untyped-call]


class BinaryConv2d(nn.Conv2d):
    """2-d convolution without bias of signs with signs.

    There is no scaling factor: the BatchNorm that follows absorbs one. The zeros of the padding
    are a third level, which a 1-bit kernel has to correct at the border.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel, in pixels.
        stride: step between outputs, in pixels.
        padding: zeros around the input, in pixels.
        weights: ``"binary"`` takes the sign of the weights, ``"real"`` leaves them.
        activations: ``"binary"`` takes the sign of the input, ``"real"`` leaves it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        *,
        weights: Precision = "binary",
        activations: Precision = "binary",
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.weights: Precision = weights
        self.activations: Precision = activations

    @property
    def is_binary(self) -> bool:
        """Whether it can run as XNOR and popcount: weights and activations both 1 bit."""
        return self.weights == "binary" and self.activations == "binary"

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Convolve ``input`` (N, in_channels, H, W) to (N, out_channels, H', W')."""
        x = polynomial_sign(input) if self.activations == "binary" else input
        w = straight_through_sign(self.weight) if self.weights == "binary" else self.weight
        return functional.conv2d(x, w, None, self.stride, self.padding)
