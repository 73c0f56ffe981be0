"""Binary convolution: signs of inputs with signs of weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ir2search.choices import Estimator, InputPrecision, Precision
from ir2search.nn.estimators import ESTIMATORS, eight_bits, standardised, tanh_sharpness
from ir2search.nn.functions import SignConvolution
from ir2search.nn.fused import (
    LARGEST_SUM,
    binary_unit,
    is_fusable,
    normed,
    sign_convolution,
)
from ir2search.nn.shortcut import subsampled


@dataclass(frozen=True, kw_only=True)
class Binarisation:
    """How a convolution binarises its weights and inputs; the default is that of the paper.

    Attributes:
        weights: ``"binary"`` takes the sign of the weights, ``"real"`` keeps them.
        activations: ``"binary"`` takes the sign of the input, ``"int8"`` rounds it to 8 bits, see
            `eight_bits`, ``"real"`` keeps it.
        estimator: surrogate gradient of the input's sign.
        weight_estimator: surrogate gradient of the weights' sign.
        shift: learn a threshold of the sign for each input channel; without it the threshold is 0
            ("RSign": Liu et al., "ReActNet", ECCV 2020, eq. 5).
        standardise: standardise the weights before their sign, see `standardised`.
    """

    weights: Precision = "binary"
    activations: InputPrecision = "binary"
    estimator: Estimator = "polynomial"
    weight_estimator: Estimator = "straight-through"
    shift: bool = False
    standardise: bool = False


PAPER = Binarisation()
_INPUT_BITS: dict[InputPrecision, int] = {"binary": 1, "int8": 8, "real": 0}


class BinaryConv2d(nn.Conv2d):
    """2-d convolution, without bias, of the signs of the input with the signs of the weights.

    There is no scaling factor, because the next BatchNorm would absorb it. The padding is 0, which
    1 bit cannot represent, so a 1-bit kernel must correct the border.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel, in pixels.
        stride: step between outputs, in pixels.
        padding: zeros around the input, in pixels.
        groups: each output reads the inputs of one group. The inputs go to the groups in
            turn (channel shuffle), so that groups mix from layer to layer: Zhang et al.,
            "ShuffleNet", CVPR 2018.
        binarisation: how weights and input are binarised.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        *,
        groups: int = 1,
        binarisation: Binarisation = PAPER,
    ) -> None:
        window = (kernel_size, stride, padding)
        super().__init__(in_channels, out_channels, *window, groups=groups, bias=False)
        self.binarisation = binarisation
        self.sharpness = tanh_sharpness(0)
        self.threshold: nn.Parameter | None = None
        if binarisation.shift and binarisation.activations == "binary":
            self.threshold = nn.Parameter(torch.zeros(in_channels, 1, 1))

    def release(self, precision: Literal["int8", "real"]) -> None:
        """Take inputs of 8 bits, or keep inputs and weights in full precision."""
        weights = "real" if precision == "real" else self.binarisation.weights
        self.binarisation = replace(self.binarisation, weights=weights, activations=precision)
        self.threshold = None

    @property
    def is_binary(self) -> bool:
        """Whether weights and activations are both binary, so that XNOR and popcount suffice."""
        return self.binarisation.weights == self.binarisation.activations == "binary"

    @property
    def bit_planes(self) -> int:
        """Number of binary convolutions that compute it; 0 for one in full precision.

        The convolution of b-bit numbers with binary weights is a sum of b binary ones: Zhou et al.,
        "DoReFa-Net", arXiv 1606.06160, section 2.1.
        """
        bits = _INPUT_BITS[self.binarisation.activations]
        return bits if self.binarisation.weights == "binary" else 0

    @property
    def new_channels(self) -> int:
        """Channels of the output beyond those of the input; below 0 if the output has fewer."""
        return self.out_channels - self.in_channels

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Convolve ``input`` (N, in_channels, H, W) to (N, out_channels, H', W')."""
        if self._is_fused(input):
            return sign_convolution(input, self._latent(), self._sign_convolution(), self.threshold)
        x = self.shifted(input)
        if self.binarisation.activations == "binary":
            x = ESTIMATORS[self.binarisation.estimator](x, self.sharpness)
        elif self.binarisation.activations == "int8":
            x = eight_bits(x)
        return self.convolve(x)

    def normed(
        self,
        x: Tensor,
        norm: nn.BatchNorm2d,
        activation: nn.Module | None = None,
        shortcut: Tensor | None = None,
    ) -> Tensor:
        """Compute activation(norm(self(x)) + shortcut), with one fused kernel where possible.

        Args:
            x: (N, in_channels, H, W).
            norm: the BatchNorm after the convolution.
            activation: the activation after the sum; None for none.
            shortcut: (N, out_channels, H', W'), added before the activation; None for nothing; or
                ``x`` itself, which is first brought to this shape, see `residual`.

        Returns:
            (N, out_channels, H', W').
        """
        is_fused = norm.training and self._is_fused(x)
        if shortcut is x and not (is_fused and self.new_channels >= 0):
            shortcut = self.residual(x)
        if is_fused:
            settings = self._sign_convolution()
            return binary_unit(
                x, self._latent(), settings, norm, activation, shortcut, self.threshold
            )
        return normed(self(x), norm, activation, shortcut)

    def residual(self, x: Tensor) -> Tensor:
        """The input (N, in_channels, H, W) in the shape of the output, see `subsampled`."""
        return subsampled(x, self.stride[0], self.new_channels)

    def convolve(self, x: Tensor) -> Tensor:
        """Convolve ``x``, as it is, with the signs of the weights."""
        if self.groups > 1:
            x = functional.channel_shuffle(x, self.groups)
        return functional.conv2d(
            x, self.signs(), None, self.stride, self.padding, groups=self.groups
        )

    def shifted(self, x: Tensor) -> Tensor:
        """The input (N, in_channels, H, W) minus the learned thresholds, before its sign."""
        return x if self.threshold is None else x - self.threshold

    def signs(self) -> Tensor:
        """The signs of the weights; the weights themselves if they are real."""
        if self.binarisation.weights == "real":
            return self.weight
        return ESTIMATORS[self.binarisation.weight_estimator](self._latent(), self.sharpness)

    def _latent(self) -> Tensor:
        """The weights before their signs."""
        return standardised(self.weight) if self.binarisation.standardise else self.weight

    def _is_fused(self, x: Tensor) -> bool:
        fits = self.weight[0].numel() <= LARGEST_SUM
        return self.is_binary and self.groups == 1 and fits and is_fusable(x)

    def _sign_convolution(self) -> SignConvolution:
        return SignConvolution(
            self.stride[0],
            int(self.padding[0]),
            self.binarisation.estimator,
            self.binarisation.weight_estimator,
            self.sharpness,
        )


def sharpen(network: nn.Module, progress: float) -> None:
    """Set the sharpness of all tanh estimators; ``progress`` is 0 to 1 over the training."""
    for module in network.modules():
        if isinstance(module, BinaryConv2d):
            module.sharpness = tanh_sharpness(progress)
