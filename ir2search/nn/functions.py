"""The autograd Functions of the fused operations: their forward and backward passes are kernels."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ir2search.choices import Estimator
from ir2search.kernels.training import is_bfloat16
from ir2search.nn.kernel_calls import call, empty_bits, packed_signs

_NUMBERS: dict[Estimator, int] = {"polynomial": 0, "straight-through": 1, "tanh": 2}


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
        count, _, height, width = x.shape
        outputs, _, size, _ = latent.shape
        more = 2 * self.padding - size
        rows, columns = (height + more) // self.stride + 1, (width + more) // self.stride + 1
        return torch.empty(count, outputs, rows, columns, dtype=dtype)

    @property
    def slopes(self) -> tuple[int, int, float]:
        """Numbers and sharpness of the estimators, in the form that the kernels take."""
        return _NUMBERS[self.estimator], _NUMBERS[self.weight_estimator], self.sharpness


class Convolved(torch.autograd.Function):
    """The convolution of `ir2search.nn.fused.sign_convolution`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, latent: Tensor, thresholds: Tensor | None, settings: SignConvolution
    ) -> Tensor:
        """Convolve signs: (N, C, H, W) and (outputs, C, k, k) to (N, outputs, H', W')."""
        x, latent = x.contiguous(), latent.contiguous()
        y, shape = settings.result(x, latent, torch.float32), settings.shape(x, latent)
        packed, bits = packed_signs(latent, shape), empty_bits(shape)
        call("ir2_convolve", x, latent, thresholds, packed, bits, y, shape)
        ctx.save_for_backward(x, latent, thresholds, packed, bits)
        ctx.settings, ctx.shape = settings, shape
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Compute the gradients of the input, the latent weights and the thresholds."""
        x, latent, thresholds, packed, bits = ctx.saved_tensors
        found = _gradients(ctx, x, latent, thresholds)
        call(
            *("ir2_convolve_backward", gradients[0].contiguous()),
            *(x, latent, thresholds, packed, bits, *found, ctx.shape, *ctx.settings.slopes),
        )
        return *found, None


class Unit(torch.autograd.Function):
    """The convolution, BatchNorm, sum and activation of `ir2search.nn.fused.binary_unit`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        latent: Tensor,
        thresholds: Tensor | None,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        kind: int,
        gamma: Tensor | None,
        beta: Tensor | None,
        zeta: Tensor | None,
        norm: nn.BatchNorm2d,
        settings: SignConvolution,
        is_residual: bool,
    ) -> Tensor:
        """Compute the unit's output (N, outputs, H', W') from its input (N, C, H, W).

        See `ir2search.nn.activation.KernelActivation` for ``kind``, ``gamma``, ``beta`` and
        ``zeta``.
        """
        x, latent = x.contiguous(), latent.contiguous()
        added = None if shortcut is None else shortcut.contiguous()
        y = settings.result(x, latent, torch.int16)
        if is_residual:
            _check_residual(x, y, settings.stride)
        elif added is not None:
            _check_shortcut(added, y)
        out, moments = torch.empty(y.shape), torch.empty(3, len(latent))
        inside = _empty_mask(out) if kind and is_bfloat16() else None
        shape = settings.shape(x, latent)
        packed, bits = packed_signs(latent, shape), empty_bits(shape)
        call(
            *("ir2_unit", x, latent, thresholds, packed, bits, added),
            *(weight, bias, kind, gamma, beta, zeta, y, moments, out, inside),
            *(*_running(norm), shape, norm.eps, is_residual),
        )
        if kind == 0 or (kind == 1 and inside is not None):
            added = None  # the backward pass does not compute the sum again
        maps = x, latent, thresholds, packed, bits, added, y, moments, inside
        ctx.save_for_backward(*maps, weight, bias, gamma, beta, zeta)
        ctx.settings, ctx.shape = settings, shape
        ctx.kind, ctx.is_residual = kind, is_residual
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Compute the gradients of input, latent weights, shortcut, and all parameters."""
        x, latent, thresholds, packed, bits, added, y, moments, inside, *parameters = (
            ctx.saved_tensors
        )
        gradient = gradients[0].contiguous()
        of_convolution = _gradients(ctx, x, latent, thresholds)
        shortcut_gradient = _shortcut_gradient(ctx, gradient, 3)
        found = [None if each is None else torch.empty_like(each) for each in parameters]
        call(
            *("ir2_unit_backward", gradient, inside, y, x, latent, thresholds, packed, bits, added),
            *(*parameters[:2], ctx.kind, *parameters[2:], moments),
            *(shortcut_gradient if ctx.kind else None, *of_convolution, *found),
            *(ctx.shape, ctx.is_residual, *ctx.settings.slopes),
        )
        maps = *of_convolution, shortcut_gradient
        return *maps, *found[:2], None, *found[2:], None, None, None


class NormedMaps(torch.autograd.Function):
    """The BatchNorm, sum and activation of `ir2search.nn.fused.normed`."""

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        kind: int,
        gamma: Tensor | None,
        beta: Tensor | None,
        zeta: Tensor | None,
        norm: nn.BatchNorm2d,
    ) -> Tensor:
        """Compute activation(norm(y) + shortcut), (N, C, H, W).

        See `ir2search.nn.activation.KernelActivation` for ``kind``, ``gamma``, ``beta`` and
        ``zeta``.
        """
        y = y.contiguous()
        added = None if shortcut is None else shortcut.contiguous()
        moments, out = torch.empty(3, y.shape[1]), torch.empty_like(y)
        call(
            *("ir2_norm", y, added, weight, bias, kind, gamma, beta, zeta, moments, out),
            *(*_running(norm), *_extent(y), norm.eps),
        )
        saved = added if kind else None
        ctx.save_for_backward(y, saved, moments, weight, bias, gamma, beta, zeta)
        ctx.kind = kind
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Compute the gradients of y, shortcut, and all parameters."""
        y, added, moments, *parameters = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        shortcut_gradient = _shortcut_gradient(ctx, gradient, 1)
        y_gradient = torch.empty_like(y)
        found = [None if each is None else torch.empty_like(each) for each in parameters]
        call(
            *("ir2_norm_backward", gradient, y, added, *parameters[:2], ctx.kind, *parameters[2:]),
            *(moments, shortcut_gradient if ctx.kind else None, y_gradient, *found, *_extent(y)),
        )
        return y_gradient, shortcut_gradient, *found[:2], None, *found[2:], None


class JoinedMaps(torch.autograd.Function):
    """The pooling and concatenation of `ir2search.nn.fused.pooled_and_joined`."""

    @staticmethod
    def forward(ctx: Any, last: Tensor, *taps: Tensor) -> Tensor:
        """Pool the taps (N, c_i, H_i, W_i) and join them with the last maps (N, n, h, w)."""
        count, _, height, width = last.shape
        maps = [tap.contiguous() for tap in (*taps, last)]
        joined = torch.empty(count, sum(each.shape[1] for each in maps), height, width)
        ctx.shapes = [each.shape for each in maps]
        for each, arguments in zip(maps, _places(joined, ctx.shapes), strict=True):
            call("ir2_pool", each, joined, *arguments)
        return joined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Compute the gradients of the last maps and of the taps."""
        gradient, found = gradients[0].contiguous(), []
        for shape, arguments in zip(ctx.shapes, _places(gradient, ctx.shapes), strict=True):
            found.append(torch.empty(shape))
            call("ir2_pool_backward", gradient, found[-1], *arguments)
        return found[-1], *found[:-1]


def _places(joined: Tensor, shapes: Sequence[torch.Size]) -> Iterator[tuple[array[int], int]]:
    """The shape of each pooling and its first channel in ``joined``, for the kernels."""
    first = 0
    for shape in shapes:
        yield array("q", (*shape, *joined.shape[1:])), first
        first += shape[1]


def _check_residual(x: Tensor, y: Tensor, stride: int) -> None:
    """Check that every stride-th pixel of ``x`` gives maps of the size of ``y``."""
    height, width = (-(-side // stride) for side in x.shape[2:])
    if (height, width) != y.shape[2:]:
        raise ValueError(
            f"the shortcut must have {y.shape[2]} x {y.shape[3]} pixels, but has {height} x {width}"
        )


def _check_shortcut(shortcut: Tensor, y: Tensor) -> None:
    if shortcut.shape != y.shape:
        raise ValueError(f"the shortcut must be {tuple(y.shape)}, but is {tuple(shortcut.shape)}")


def _gradients(
    ctx: Any, x: Tensor, latent: Tensor, thresholds: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Uninitialised tensors for the gradients of a convolution's arguments; None if not needed.

    The gradient of the thresholds is a sum of that of ``x``, so that it needs both.
    """
    of_x, of_latent, of_thresholds = ctx.needs_input_grad[:3]
    return (
        torch.empty_like(x) if of_x or of_thresholds else None,
        torch.empty_like(latent) if of_latent else None,
        torch.empty_like(thresholds) if thresholds is not None and of_thresholds else None,
    )


def _empty_mask(out: Tensor) -> Tensor:
    """An uninitialised tensor for a bit for each value: (N, C, 16-bit words)."""
    images, channels, plane = _extent(out)
    return torch.empty(images, channels, -(-plane // 16), dtype=torch.int16)


def _shortcut_gradient(ctx: Any, gradient: Tensor, argument: int) -> Tensor | None:
    """A tensor for the gradient of the shortcut; without activation it is ``gradient`` itself."""
    if not ctx.needs_input_grad[argument]:
        return None
    return torch.empty_like(gradient) if ctx.kind else gradient


def _running(norm: nn.BatchNorm2d) -> tuple[Tensor | None, Tensor | None, Tensor | None, float]:
    """The running statistics and their momentum, in the form that the kernels take."""
    momentum = -1.0 if norm.momentum is None else norm.momentum
    return norm.running_mean, norm.running_var, norm.num_batches_tracked, momentum


def _extent(x: Tensor) -> tuple[int, int, int]:
    """Number of images, channels and positions."""
    return x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
