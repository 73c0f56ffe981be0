"""Fused operations for training on a CPU; elsewhere torch's own operations run.

A convolution of signs needs no multiplication (see ``kernels/native``). Between two
convolutions there are a sign, a BatchNorm, a sum and an activation. In torch each is a pass over
feature maps that do not fit in a cache. Here one autograd Function makes as few passes as possible.
For the backward pass it saves only what it cannot compute again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from ir2search.kernels.training import library
from ir2search.nn.activation import KernelActivation, for_kernels
from ir2search.nn.functions import Convolved, JoinedMaps, NormedMaps, SignConvolution, Unit

LARGEST_SUM = 2**15 - 1  # of signs: the kernels add them in 16 bits


_without_gradients: ContextVar[bool] = ContextVar("without_gradients", default=False)


@contextmanager
def kernels_without_gradients() -> Iterator[None]:
    """Use the kernels inside this context even if gradients are disabled."""
    token = _without_gradients.set(True)
    try:
        yield
    finally:
        _without_gradients.reset(token)


def is_fusable(x: Tensor) -> bool:
    """Whether the kernels take ``x``: on a CPU, float32, with gradients enabled, not traced.

    Libraries that count, export or explain a network disable gradients or trace it. They must see
    torch's operations. See also `kernels_without_gradients`.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and (torch.is_grad_enabled() or _without_gradients.get())
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and library() is not None
    )


def sign_convolution(
    x: Tensor, latent: Tensor, settings: SignConvolution, thresholds: Tensor | None = None
) -> Tensor:
    """Convolve the signs of ``x - thresholds`` with those of ``latent``.

    Args:
        x: (N, C, H, W), for which `is_fusable` is true.
        latent: weights (outputs, C, k, k) before their signs, with C k k at most `LARGEST_SUM`.
        settings: stride, padding and estimators.
        thresholds: (C, 1, 1); None for 0.

    Returns:
        (N, outputs, H', W'), whole numbers in float32.
    """
    result: Tensor = Convolved.apply(x, latent, thresholds, settings)  # type: ignore[no-untyped-call]
    return result


def binary_unit(
    x: Tensor,
    latent: Tensor,
    settings: SignConvolution,
    norm: nn.BatchNorm2d,
    activation: nn.Module | None,
    shortcut: Tensor | None,
    thresholds: Tensor | None = None,
) -> Tensor:
    """Compute activation(norm(convolution) + shortcut) in training mode.

    The convolution is sign_convolution(x, latent, settings, thresholds). None stands for no
    activation and for no shortcut. The shortcut (N, outputs, H', W') can be ``x`` itself if the
    unit's padding keeps the size of maps. Then every stride-th pixel of it is added, with channels
    of 0 before and after. Returns (N, outputs, H', W').
    """
    fused = for_kernels(activation, norm.num_features)
    is_residual = shortcut is x  # saves a gradient tensor
    result: Tensor = Unit.apply(  # type: ignore[no-untyped-call]
        *(x, latent, thresholds, None if is_residual else shortcut),
        *(norm.weight, norm.bias, *fused, norm, settings, is_residual),
    )
    return result if fused.kind or activation is None else activation(result)


def normed(
    y: Tensor,
    norm: nn.BatchNorm2d,
    activation: nn.Module | None = None,
    shortcut: Tensor | None = None,
) -> Tensor:
    """Compute activation(norm(y) + shortcut).

    Args:
        y: output of a convolution, (N, C, H, W).
        norm: the BatchNorm after the convolution.
        activation: the activation after the sum; None for none.
        shortcut: (N, C, H, W), added before the activation; None for nothing.

    Returns:
        (N, C, H, W).
    """
    fused, result = KernelActivation(), y
    # torch normalises maps whose channels are last without a copy
    if norm.training and is_fusable(y) and y.is_contiguous():
        fused = for_kernels(activation, norm.num_features)
        result = NormedMaps.apply(y, shortcut, norm.weight, norm.bias, *fused, norm)  # type: ignore[no-untyped-call]
    else:
        result = norm(y) if shortcut is None else norm(y) + shortcut
    return result if fused.kind or activation is None else activation(result)


def pooled_and_joined(last: Tensor, taps: Sequence[Tensor]) -> Tensor:
    """Average-pool the taps to the size of the last maps, and concatenate all.

    Args:
        last: (N, n, h, w), for which `is_fusable` is true.
        taps: each (N, c_i, H_i, W_i).

    Returns:
        (N, c_1 + ... + n, h, w): the taps in their order, then the last maps.
    """
    joined: Tensor = JoinedMaps.apply(last, *taps)  # type: ignore[no-untyped-call]
    return joined


class Normed(nn.Sequential):
    """A sequence of modules that ends in a BatchNorm, or in a BatchNorm and an activation."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Apply the sequence to feature maps (N, C, H, W)."""
        for module in self:
            if isinstance(module, nn.BatchNorm2d):
                activation = self[-1] if self[-1] is not module else None
                return normed(input, module, activation)
            input = module(input)  # noqa: A001
        raise TypeError("a Normed sequence needs a BatchNorm")
