"""Quantisers and their surrogate gradients: signs, and rounding to 8 bits.

``torch.sign`` has three values (``sign(0) = 0``), which do not fit in 1 bit. Here every estimator
maps zero to +1:

    q(x) = +1 if x >= 0 else -1
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ir2search.choices import Estimator

TANH_SHARPNESS = (0.1, 10.0)  # at the start and at the end of training
STEPS = 32  # 8-bit numbers are multiples of 1/32, from -4 to 3.97: enough for normalised images


def sign(x: Tensor) -> Tensor:
    """q(x): +1 where ``x >= 0``, else -1, in the dtype and shape of ``x``; no gradient."""
    return x.ge(0).to(x.dtype).mul_(2).sub_(1)


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)


class _PolynomialSign(_Sign):
    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope = x.abs().mul_(-2).add_(2).clamp_(min=0)
        return slope.mul_(gradients[0])


class _StraightThroughSign(_Sign):
    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * x.abs().le(1)


class _TanhSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sharpness: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.sharpness = sharpness
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        t = ctx.sharpness
        slope = torch.tanh(t * x).square_().neg_().add_(1).mul_(t * max(1 / t, 1))
        return slope.mul_(gradients[0]), None


class _EightBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scaled = x * STEPS
        ctx.save_for_backward(scaled)
        return scaled.round().clamp_(-128, 127).div_(STEPS)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (scaled,) = ctx.saved_tensors
        return gradients[0] * scaled.ge(-128).logical_and_(scaled.le(127))


class _Standardised(torch.autograd.Function):
    """An autograd Function, so that the counter of operations sees it as one operation."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        axes = tuple(range(1, w.ndim))
        deviation = w.std(dim=axes, keepdim=True).clamp_min(1e-12)
        result = (w - w.mean(dim=axes, keepdim=True)) / deviation
        ctx.save_for_backward(result, deviation)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        y, deviation = ctx.saved_tensors
        g, axes = gradients[0], tuple(range(1, y.ndim))
        along = (g * y).sum(dim=axes, keepdim=True) / (y[0].numel() - 1)
        return (g - g.mean(dim=axes, keepdim=True) - y * along) / deviation


def polynomial_sign(x: Tensor) -> Tensor:
    """Sign with the piecewise-polynomial surrogate gradient, the paper's for activations.

    q(x) = +1 if x >= 0 else -1;
    dq/dx = 2 + 2x on [-1, 0), 2 - 2x on [0, 1), 0 elsewhere, that is max(0, 2 - 2|x|).

    Source: Liu et al., "Bi-Real Net", ECCV 2018, eq. 6.
    """
    return _PolynomialSign.apply(x)  # type: ignore[no-untyped-call]


def straight_through_sign(x: Tensor) -> Tensor:
    """Sign with the clipped straight-through surrogate gradient, the paper's for weights.

    q(x) = +1 if x >= 0 else -1;
    dq/dx = 1 if |x| <= 1 else 0.

    Source: Hubara et al., "Binarized Neural Networks", NeurIPS 2016, eq. 4.
    """
    return _StraightThroughSign.apply(x)  # type: ignore[no-untyped-call]


def tanh_sign(x: Tensor, sharpness: float) -> Tensor:
    """Sign with the gradient of a tanh that becomes sharper during training.

    q(x) = +1 if x >= 0 else -1;
    dq/dx = k t (1 - tanh(t x)^2), with t the sharpness, see `tanh_sharpness`, k = max(1 / t, 1).

    Source: Qin et al., "IR-Net", CVPR 2020, eq. 9 (error decay estimator).
    """
    return _TanhSign.apply(x, sharpness)  # type: ignore[no-untyped-call]


def tanh_sharpness(progress: float) -> float:
    """Sharpness t = 0.1 * 10^(2 progress), where progress is 0 to 1 over the training.

    Source: Qin et al., "IR-Net", CVPR 2020, eq. 11.
    """
    low, high = TANH_SHARPNESS
    return float(low * (high / low) ** progress)


def eight_bits(x: Tensor) -> Tensor:
    """Round to whole numbers of 8 bits, in steps of 1 / `STEPS`; in that range the gradient is 1.

    q(x) = min(max(round(32 x), -128), 127) / 32;
    dq/dx = 1 if -128 <= 32 x <= 127 else 0.

    Such an input is a sum of 8 bit planes with factors -128, 64, 32, ..., 1, each over 32. Its
    convolution with binary weights is then a sum of 8 binary convolutions. Source: Courbariaux et
    al., "Binarized Neural Networks", arXiv 1602.02830, for the first layer.
    """
    return _EightBits.apply(x)  # type: ignore[no-untyped-call]


def standardised(w: Tensor) -> Tensor:
    """Standardise weights (outputs, ...) to mean 0 and deviation 1 for each output.

    Both signs are then about equally frequent, which maximises the entropy of binary weights.
    Source: Qin et al., "IR-Net", CVPR 2020, eq. 6.
    """
    return _Standardised.apply(w)  # type: ignore[no-untyped-call]


# all take a tensor and the sharpness, which only the tanh uses
ESTIMATORS: dict[Estimator, Callable[[Tensor, float], Tensor]] = {
    "polynomial": lambda x, sharpness: polynomial_sign(x),
    "straight-through": lambda x, sharpness: straight_through_sign(x),
    "tanh": tanh_sign,
}
