"""Activation functions between binary convolutions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ir2search.choices import Activation


class ShiftedPReLU(nn.Module):
    """PReLU with a learned shift of input and output for each channel ("RPReLU").

    f(x) = x - gamma + zeta if x > gamma else beta (x - gamma) + zeta.

    Source: Liu et al., "ReActNet", ECCV 2020, eq. 6.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels, 1, 1))
        self.prelu = nn.PReLU(channels)
        self.zeta = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation to feature maps (N, channels, H, W)."""
        result: Tensor = self.prelu(x - self.gamma) + self.zeta
        return result


def make_activation(name: Activation, channels: int) -> nn.Module:
    """Make an activation by its name, for feature maps with this number of channels."""
    if name == "hardtanh":
        return nn.Hardtanh()
    return nn.PReLU(channels) if name == "prelu" else ShiftedPReLU(channels)


class KernelActivation(NamedTuple):
    """An activation in the form that the kernels take; the default is none.

    Attributes:
        kind: 0 for none, 1 for Hardtanh, 2 for PReLU.
        gamma: the shift of PReLU's input for each channel; None for 0.
        beta: the slope of PReLU for each channel.
        zeta: the shift of PReLU's output for each channel; None for 0.
    """

    kind: int = 0
    gamma: Tensor | None = None
    beta: Tensor | None = None
    zeta: Tensor | None = None


def for_kernels(activation: nn.Module | None, channels: int) -> KernelActivation:
    """An activation of maps with this number of channels for the kernels; none if they lack it."""
    if isinstance(activation, nn.Hardtanh):
        return KernelActivation(1)
    if isinstance(activation, nn.PReLU) and activation.num_parameters == channels:
        return KernelActivation(2, beta=activation.weight)
    if isinstance(activation, ShiftedPReLU):
        return KernelActivation(2, activation.gamma, activation.prelu.weight, activation.zeta)
    return KernelActivation()
