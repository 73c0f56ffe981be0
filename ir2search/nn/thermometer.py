"""Thermometer coding: pixels as signs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RANGE = 2.0  # levels are from -2 to 2, where most pixels of normalised images are


class Thermometer(nn.Module):
    """Compare each pixel with K levels: the centres of K equal cells from -2 to 2.

    The result is each pixel minus each level. Its signs are a thermometer code: the number of
    +1 is the number of levels up to the pixel's value. A binary convolution of the signs then needs
    no real numbers.

    Source: Zhang et al., "FracBNN", FPGA 2021, for the first layer; there the levels are 8 apart on
    pixels from 0 to 255, that is 32 levels.

    Args:
        levels: K, at least 1.
    """

    levels: Tensor

    def __init__(self, levels: int) -> None:
        super().__init__()
        middles = (torch.arange(levels) + 0.5) / levels
        self.register_buffer("levels", RANGE * (2 * middles - 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) to (N, K C, H, W): each level subtracted in turn."""
        return (images.unsqueeze(1) - self.levels.view(-1, 1, 1, 1)).flatten(1, 2)
