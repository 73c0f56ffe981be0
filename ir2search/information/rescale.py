"""A copy of a network whose gradients are DeepLIFT's multipliers.

The first half of each batch are the images to explain, the second half their baselines.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, ShiftedPReLU, normed, sign
from ir2search.nn.estimators import eight_bits

ELEMENTWISE = (nn.Hardtanh, nn.PReLU, ShiftedPReLU)
NEARLY_EQUAL = 1e-6  # for closer inputs, the multiplier is the derivative of the function


def can_rescale(network: nn.Module) -> bool:
    """Whether every function of the network is linear or elementwise."""
    return not any(isinstance(module, nn.MaxPool2d) for module in network.modules())


def rescaled(network: TappedNetwork) -> TappedNetwork:
    """A copy that returns the same logits, and DeepLIFT's multipliers as gradients.

    An elementwise function y multiplies the gradient by (y(x) - y(b)) / (x - b). This is the
    rescale rule of Shrikumar et al., "Learning Important Features Through Propagating Activation
    Differences", ICML 2017, section 3.5.1.
    """
    result = copy.deepcopy(network)
    for name, module in list(result.named_modules()):
        if isinstance(module, BinaryConv2d):
            result.set_submodule(name, _Convolution(module))
        elif isinstance(module, ELEMENTWISE):
            result.set_submodule(name, _Elementwise(module))
    return result


class _Elementwise(nn.Module):
    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return _rescale(x, self.function)


class _Convolution(nn.Module):
    def __init__(self, convolution: BinaryConv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        inner = self.convolution
        x = inner.shifted(x)
        if inner.binarisation.activations == "binary":
            x = _rescale(x, sign)
        elif inner.binarisation.activations == "int8":
            x = _rescale(x, eight_bits)
        return inner.convolve(x)

    def normed(
        self,
        x: Tensor,
        norm: nn.BatchNorm2d,
        activation: nn.Module | None = None,
        shortcut: Tensor | None = None,
    ) -> Tensor:
        if shortcut is x:
            shortcut = self.convolution.residual(x)
        return normed(self(x), norm, activation, shortcut)


def _rescale(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    result: Tensor = _Rescaled.apply(x, function)  # type: ignore[no-untyped-call]
    return result


class _Rescaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        y = function(x)
        ctx.save_for_backward(x, y)
        ctx.function = function
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, y = (values.chunk(2) for values in ctx.saved_tensors)
        inputs, outputs = x[0] - x[1], y[0] - y[1]
        near = inputs.abs() < NEARLY_EQUAL
        multiplier = outputs / inputs.masked_fill(near, 1)
        multiplier = torch.where(near, _slope(ctx.function, x[0]), multiplier)
        return gradients[0] * multiplier.repeat(2, *[1] * (multiplier.ndim - 1)), None


def _slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Derivative of the function at x; zero for a sign."""
    if function is sign:
        return torch.zeros_like(x)
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        return torch.autograd.grad(function(at).sum(), at)[0]
