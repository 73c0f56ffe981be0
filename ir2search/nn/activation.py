"""Activation functions between binary convolutions."""

from __future__ import annotations

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
