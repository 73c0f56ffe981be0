"""What the signs of each binary layer carry, counted over data.

All values are of one layer's input signs s = sign(x), x being (N, C, H, W), for each image, so that
intervals over images can be had.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from captum.attr import LayerActivation
from torch import Tensor
from torch.nn import functional

from ir2search.information.attributions import frozen
from ir2search.information.chain import sign_layers
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, sign

NOISE = 0.1  # standard deviation of the noise that signs are tried with; images' own is about 1


@dataclass(frozen=True)
class SignBits:
    """One binary convolution's input signs.

    Attributes:
        layer: the convolution's name.
        positive: (N, C) float, from 0 to 1: share of an image's positions whose sign is +1.
        clipped: (N, C) float, from 0 to 1: share of positions with |x| >= 1, where the polynomial
            and the straight-through estimator pass no gradient.
        flipped: (N,) float, from 0 to 1: share of the signs that change when Gaussian noise of
            deviation `NOISE` is added to the normalised image.
        input_error: (N,) float, from 0 to 1: see `scaled_error`, of s for x.
        output_error: (N,) float, from 0 to 1: the same of the convolution of s for that of x.
    """

    layer: str
    positive: Tensor
    clipped: Tensor
    flipped: Tensor
    input_error: Tensor
    output_error: Tensor


def sign_bits(network: TappedNetwork, images: Tensor, seed: int, batch: int) -> list[SignBits]:
    """Count what every binary convolution's input signs carry; none for a network without signs.

    Args:
        network: trained; left as it was.
        images: (N, C, H, W) float, normalised, where the network lies.
        seed: of the noise.
        batch: images in one pass at most.
    """
    layers = sign_layers(network)
    if not layers:
        return []
    generator = torch.Generator().manual_seed(seed)
    noise = NOISE * torch.randn(images.shape, generator=generator).to(images.device)
    parts = []
    with frozen(network), torch.no_grad():
        for clean, noisy in zip(images.split(batch), (images + noise).split(batch), strict=True):
            inputs = [_inputs(network, list(layers.values()), some) for some in (clean, noisy)]
            parts.append([_bits(*found) for found in zip(layers.items(), *inputs, strict=True)])
    return [_joined(part) for part in zip(*parts, strict=True)]


def channel_entropy(positive: Tensor) -> Tensor:
    """Entropy in bits of a sign that is +1 in a share p of all cases, of any shape.

    H = -p log2 p - (1 - p) log2 (1 - p), from 0 (a dead channel, always the same sign) to 1.
    Source: Shannon, "A Mathematical Theory of Communication", 1948, section 6.
    """
    p = positive.double()
    q = 1 - p
    return -(torch.special.xlogy(p, p) + torch.special.xlogy(q, q)) / math.log(2)


def scaled_error(exact: Tensor, binary: Tensor) -> Tensor:
    """Min over a of |exact - a binary|^2 / |exact|^2, by image: 1 - cos^2 of the angle.

    From 0 (the same up to a scale, which the BatchNorm that follows absorbs) to 1 (nothing of it
    is left). For signs it is the quantisation error at the best scaling factor: Rastegari et al.,
    "XNOR-Net", ECCV 2016, eq. 6.

    Args:
        exact: (N, C, H, W) float.
        binary: the same.

    Returns:
        (N,) float64.
    """
    one, other = exact.flatten(1).double(), binary.flatten(1).double()
    return 1 - functional.cosine_similarity(one, other, dim=1, eps=1e-12).square()


def _inputs(network: TappedNetwork, layers: list[BinaryConv2d], images: Tensor) -> list[Tensor]:
    found = LayerActivation(network, layers).attribute(images, attribute_to_layer_input=True)
    inputs = [x[0] if isinstance(x, tuple) else x for x in found]
    return [layer.shifted(x) for layer, x in zip(layers, inputs, strict=True)]


def _bits(layer: tuple[str, BinaryConv2d], x: Tensor, noisy: Tensor) -> SignBits:
    name, convolution = layer
    signs, weights = sign(x), convolution.signs()

    def convolve(values: Tensor) -> Tensor:
        return functional.conv2d(values, weights, None, convolution.stride, convolution.padding)

    return SignBits(
        layer=name,
        positive=signs.gt(0).double().mean(dim=(2, 3)),
        clipped=x.abs().ge(1).double().mean(dim=(2, 3)),
        flipped=signs.ne(sign(noisy)).double().mean(dim=(1, 2, 3)),
        input_error=scaled_error(x, signs),
        output_error=scaled_error(convolve(x), convolve(signs)),
    )


def _joined(parts: tuple[SignBits, ...]) -> SignBits:
    names = ("positive", "clipped", "flipped", "input_error", "output_error")
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    return SignBits(parts[0].layer, **joined)
