"""Fused operations for training on a CPU; elsewhere torch's own operations run.

A convolution of signs needs no multiplication (see ``kernels/native``). Between two
convolutions there are a sign, a BatchNorm, a sum and an activation. In torch each is a pass over
feature maps that do not fit in a cache. Here one autograd Function makes as few passes as possible.
For the backward pass it saves only what it cannot compute again.
"""

from __future__ import annotations

import ctypes
from array import array
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ir2search.choices import Estimator
from ir2search.kernels.training import is_bfloat16, library
from ir2search.nn.threads import kernel_threads

_NUMBERS: dict[Estimator, int] = {"polynomial": 0, "straight-through": 1, "tanh": 2}
LARGEST_SUM = 2**15 - 1  # of signs: the kernels add them in 16 bits


@dataclass(frozen=True)
class SignConvolution:
    """The settings of a convolution of an input's signs with the signs of latent weights.

    Attributes:
        stride: step between outputs, in pixels.
        padding: zeros around the signs, in pixels; less than the side of the kernel.
        estimator: surrogate gradient of the input's signs.
        weight_estimator: surrogate gradient of the weights' signs.
        sharpness: sharpness of the tanh estimator.
    """

    stride: int
    padding: int
    estimator: Estimator
    weight_estimator: Estimator
    sharpness: float

    def shape(self, x: Tensor, latent: Tensor) -> array[int]:
        """Sizes, stride and padding in the form that the kernels take."""
        outputs, _, size, _ = latent.shape
        return array("q", (*x.shape, outputs, size, self.stride, self.padding))

    def result(self, x: Tensor, latent: Tensor, dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor for the outputs (N, outputs, H', W')."""
        outputs, _, size, _ = latent.shape
        sides = [(side + 2 * self.padding - size) // self.stride + 1 for side in x.shape[2:]]
        return torch.empty(len(x), outputs, *sides, dtype=dtype)

    @property
    def slopes(self) -> tuple[int, int, float]:
        """Numbers and sharpness of the estimators, in the form that the kernels take."""
        return _NUMBERS[self.estimator], _NUMBERS[self.weight_estimator], self.sharpness


def is_fusable(x: Tensor) -> bool:
    """Whether the kernels take ``x``: on a CPU, float32, with gradients enabled, not traced.

    Libraries that count, export or explain a network disable gradients or trace it. They must see
    torch's operations.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and library() is not None
    )


def sign_convolution(x: Tensor, latent: Tensor, settings: SignConvolution) -> Tensor:
    """Convolve the signs of ``x`` with those of ``latent``.

    Args:
        x: (N, C, H, W), for which `is_fusable` is true.
        latent: weights (outputs, C, k, k) before their signs, with C k k at most `LARGEST_SUM`.
        settings: stride, padding and estimators.

    Returns:
        (N, outputs, H', W'), whole numbers in float32.
    """
    result: Tensor = _Convolved.apply(x, latent, settings)  # type: ignore[no-untyped-call]
    return result


def binary_unit(
    x: Tensor,
    latent: Tensor,
    settings: SignConvolution,
    norm: nn.BatchNorm2d,
    activation: nn.Module | None,
    shortcut: Tensor | None,
) -> Tensor:
    """Compute activation(norm(sign_convolution(x, latent, settings)) + shortcut) in training mode.

    The shortcut (N, outputs, H', W') can be ``x`` itself. None stands for no activation and for no
    shortcut. Returns (N, outputs, H', W').
    """
    clip = isinstance(activation, nn.Hardtanh)
    is_residual = shortcut is x  # saves a gradient tensor
    result: Tensor = _Unit.apply(  # type: ignore[no-untyped-call]
        *(x, latent, None if is_residual else shortcut),
        *(norm.weight, norm.bias, norm, settings, clip, is_residual),
    )
    return result if clip or activation is None else activation(result)


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
    clip, result = False, y
    if norm.training and is_fusable(y):
        clip = isinstance(activation, nn.Hardtanh)
        result = _Normed.apply(y, shortcut, norm.weight, norm.bias, norm, clip)  # type: ignore[no-untyped-call]
    else:
        result = norm(y) if shortcut is None else norm(y) + shortcut
    return result if clip or activation is None else activation(result)


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


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, latent: Tensor, settings: SignConvolution) -> Tensor:
        x, latent = x.contiguous(), latent.contiguous()
        y = settings.result(x, latent, torch.float32)
        ctx.save_for_backward(x, latent)
        ctx.settings, ctx.shape = settings, settings.shape(x, latent)
        _call("ir2_convolve", x, latent, y, ctx.shape)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, latent = ctx.saved_tensors
        x_gradient, latent_gradient = _gradients(ctx, x, latent)
        gradient = gradients[0].contiguous()
        _call(
            "ir2_convolve_backward",
            gradient,
            latent,
            x,
            x_gradient,
            latent_gradient,
            ctx.shape,
            *ctx.settings.slopes,
        )
        return x_gradient, latent_gradient, None


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        latent: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm2d,
        settings: SignConvolution,
        clip: bool,
        is_residual: bool,
    ) -> Tensor:
        x, latent = x.contiguous(), latent.contiguous()
        added = x if is_residual else None if shortcut is None else shortcut.contiguous()
        y, out = (settings.result(x, latent, dtype) for dtype in (torch.int16, torch.float32))
        moments = torch.empty(3, len(latent))
        inside = _unclipped_bits(out) if clip else None
        ctx.settings, ctx.shape = settings, settings.shape(x, latent)
        _call(
            *("ir2_unit", x, latent, added, weight, bias, y, moments, out, inside),
            *(ctx.shape, norm.eps, clip),
        )
        _update_running(norm, moments, y)
        saved = out if clip and not is_bfloat16() else inside
        ctx.save_for_backward(x, latent, weight, y, moments, saved)
        ctx.clip, ctx.is_residual, ctx.kernels = clip, is_residual, library()
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, latent, weight, y, moments, saved = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        x_gradient, latent_gradient = _gradients(ctx, x, latent)
        shortcut_gradient = _shortcut_gradient(ctx, gradient, 2)
        weight_gradient, bias_gradient = torch.empty(2, len(weight))
        _call(
            *("ir2_unit_backward", gradient, saved, y, x, latent, weight, moments),
            *(
                shortcut_gradient if ctx.clip else None,
                x_gradient,
                latent_gradient,
                weight_gradient,
                bias_gradient,
            ),
            *(ctx.shape, ctx.clip, ctx.is_residual, *ctx.settings.slopes),
            kernels=ctx.kernels,  # they know what is saved
        )
        return (
            x_gradient,
            latent_gradient,
            shortcut_gradient,
            weight_gradient,
            bias_gradient,
            None,
            None,
            None,
            None,
        )


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm2d,
        clip: bool,
    ) -> Tensor:
        y = y.contiguous()
        added = None if shortcut is None else shortcut.contiguous()
        moments, out = torch.empty(3, y.shape[1]), torch.empty_like(y)
        _call("ir2_norm", y, added, weight, bias, moments, out, *_extent(y), norm.eps, clip)
        _update_running(norm, moments, y)
        ctx.save_for_backward(y, out if clip else None, weight, moments)
        ctx.clip = clip
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        y, out, weight, moments = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        shortcut_gradient = _shortcut_gradient(ctx, gradient, 1)
        y_gradient = torch.empty_like(y)
        weight_gradient, bias_gradient = torch.empty(2, len(weight))
        _call(
            *("ir2_norm_backward", gradient, out, y, weight, moments),
            *(shortcut_gradient if ctx.clip else None, y_gradient, weight_gradient, bias_gradient),
            *(*_extent(y), ctx.clip),
        )
        return y_gradient, shortcut_gradient, weight_gradient, bias_gradient, None, None


def _gradients(ctx: Any, x: Tensor, latent: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Uninitialised tensors for the gradients of ``x`` and ``latent``; None if it is not needed."""
    x_gradient = torch.empty_like(x) if ctx.needs_input_grad[0] else None
    latent_gradient = torch.empty_like(latent) if ctx.needs_input_grad[1] else None
    return x_gradient, latent_gradient


def _unclipped_bits(out: Tensor) -> Tensor:
    """An uninitialised tensor for a bit for each value: (N, C, 16-bit words)."""
    images, channels, plane = _extent(out)
    return torch.empty(images, channels, -(-plane // 16), dtype=torch.int16)


def _shortcut_gradient(ctx: Any, gradient: Tensor, argument: int) -> Tensor | None:
    """A tensor for the gradient of the shortcut; without clipping it is ``gradient`` itself."""
    if not ctx.needs_input_grad[argument]:
        return None
    return torch.empty_like(gradient) if ctx.clip else gradient


@torch.no_grad()
def _update_running(norm: nn.BatchNorm2d, moments: Tensor, y: Tensor) -> None:
    """Update the running statistics as torch's BatchNorm does."""
    if norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    momentum = norm.momentum
    if momentum is None:
        momentum = 1.0 / float(norm.num_batches_tracked)
    count = y.numel() // y.shape[1]
    norm.running_mean.lerp_(moments[0], momentum)
    norm.running_var.lerp_(moments[2] * (count / max(1, count - 1)), momentum)


def _extent(x: Tensor) -> tuple[int, int, int]:
    """Number of images, channels and positions."""
    return x.shape[0], x.shape[1], x[0, 0].numel()


def _call(
    kernel: str,
    *arguments: Tensor | array[int] | float | None,
    kernels: ctypes.CDLL | None = None,
) -> None:
    """Run a kernel on its threads; tensors must be contiguous."""
    given = [
        argument.data_ptr()
        if isinstance(argument, Tensor)
        else argument.buffer_info()[0]
        if isinstance(argument, array)
        else argument
        for argument in arguments
    ]
    getattr(kernels or library(), kernel)(*given, kernel_threads())
