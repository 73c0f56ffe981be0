"""Measures of the input signs of each binary convolution.

The input of a layer is x, (N, C, H, W), and its signs are s = sign(x). Values are kept by image, so
that intervals over images can be computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from captum.attr import LayerActivation
from torch import Tensor
from torch.nn import functional

from ir2search.information.chain import sign_layers
from ir2search.information.passes import frozen, joined
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, kernels_without_gradients, sign

NOISE = 0.1  # standard deviation of added noise; normalised images have about 1


@dataclass(frozen=True)
class SignBits:
    """The input signs of one binary convolution.

    Attributes:
        layer: name of the convolution.
        positive: (N, C) float, from 0 to 1: share of positions where the sign is +1.
        clipped: (N, C) float, from 0 to 1: share of positions with |x| >= 1. Hardtanh passes no
            gradient there, nor does the polynomial estimator.
        flipped: (N,) float, from 0 to 1: share of the signs that change if Gaussian noise of
            standard deviation `NOISE` is added to the normalised image.
        input_error: (N,) float, from 0 to 1: `scaled_error` of s as an approximation of x.
        output_error: (N,) float, from 0 to 1: `scaled_error` of the convolution of s as an
            approximation of the convolution of x.
    """

    layer: str
    positive: Tensor
    clipped: Tensor
    flipped: Tensor
    input_error: Tensor
    output_error: Tensor


def sign_bits(network: TappedNetwork, batches: Iterable[Tensor], seed: int) -> list[SignBits]:
    """Measure the input signs of every binary convolution; empty for a network without signs.

    Batches are normalised images (n, C, H, W) on the network's device; ``seed`` is for the noise.
    """
    layers = sign_layers(network)
    if not layers:
        return []
    generator = torch.Generator().manual_seed(seed)
    parts = []
    with frozen(network), torch.no_grad(), kernels_without_gradients():
        for images in batches:
            noisy = images + _noise(images, generator)
            inputs = [sign_inputs(network, list(layers.values()), some) for some in (images, noisy)]
            parts.append([_bits(*found) for found in zip(layers.items(), *inputs, strict=True)])
    return [joined(part) for part in zip(*parts, strict=True)]


def channel_entropy(positive: Tensor) -> Tensor:
    """Entropy in bits of a sign that is +1 with probability p.

    H = -p log2 p - (1 - p) log2 (1 - p), from 0 (dead channel, always the same sign) to 1.
    Source: Shannon, "A Mathematical Theory of Communication", 1948, section 6. ``positive`` is p,
    of any shape.
    """
    p = positive.double()
    q = 1 - p
    return -(torch.special.xlogy(p, p) + torch.special.xlogy(q, q)) / math.log(2)


def scaled_error(exact: Tensor, binary: Tensor) -> Tensor:
    """Min over a of |exact - a binary|^2 / |exact|^2 for each image: 1 - cos^2 of their angle.

    From 0 (equal up to a scale, which the next BatchNorm absorbs) to 1 (orthogonal). For signs
    it is the quantisation error with the best scaling factor: Rastegari et al., "XNOR-Net", ECCV
    2016, eq. 6.

    Args:
        exact: (N, C, H, W) float.
        binary: (N, C, H, W) float, the approximation.

    Returns:
        (N,) float64.
    """
    one, other = exact.flatten(1).double(), binary.flatten(1).double()
    return 1 - functional.cosine_similarity(one, other, dim=1, eps=1e-12).square()


def sign_inputs(network: TappedNetwork, layers: list[BinaryConv2d], images: Tensor) -> list[Tensor]:
    """The inputs of convolutions, (N, C, H, W), less their learned thresholds.

    Args:
        network: the network, in evaluation mode.
        layers: convolutions of the network.
        images: normalised images (N, channels, height, width).
    """
    found = LayerActivation(network, layers).attribute(images, attribute_to_layer_input=True)
    inputs = [x[0] if isinstance(x, tuple) else x for x in found]
    return [layer.shifted(x) for layer, x in zip(layers, inputs, strict=True)]


def _noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Noise for a batch, drawn image by image, so that it does not depend on the batch size."""
    drawn = [torch.randn(images.shape[1:], generator=generator) for _ in range(len(images))]
    return NOISE * torch.stack(drawn).to(images.device)


def _bits(layer: tuple[str, BinaryConv2d], x: Tensor, noisy: Tensor) -> SignBits:
    name, convolution = layer
    signs = sign(x)
    return SignBits(
        layer=name,
        positive=signs.gt(0).double().mean(dim=(2, 3)),
        clipped=x.abs().ge(1).double().mean(dim=(2, 3)),
        flipped=signs.ne(sign(noisy)).double().mean(dim=(1, 2, 3)),
        input_error=scaled_error(x, signs),
        output_error=scaled_error(convolution.convolve(x), convolution.convolve(signs)),
    )
