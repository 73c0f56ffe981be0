"""Signal-to-quantisation-noise ratios (SQNR) of a binary network, in dB.

Each compares maps with an approximation of them. The approximation is first fitted to the signal on
training images, because the layers after it can apply the same fit: a BatchNorm any scale and shift
of a channel, a convolution any linear combination of channels.

*Local*: the output of one convolution with its latent weights and its input as it is, against its
output with signs, both on the binary network's own input. Each channel has a scale and a shift.

*Graph-wise*: the maps of the full-precision twin against those of the binary network, both computed
from the image. The channels of two trainings do not correspond, so those of the twin are predicted
by a linear combination of all channels: Lenc and Vedaldi, "Understanding Image Representations by
Measuring Their Equivariance and Equivalence", CVPR 2015, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ir2search.information.bits import sign_inputs
from ir2search.information.chain import INPUT, Chain, sign_layers
from ir2search.information.images import Images
from ir2search.information.interventions import Change, released
from ir2search.information.passes import frozen
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, kernels_without_gradients, sign

RIDGE = 1e-6  # of the approximation's mean square: keeps the fit of equal channels finite

Pair = tuple[Tensor, Tensor]  # signal (N, C, H, W) and approximation (N, C', H, W)
Pairs = Callable[[Tensor], Mapping[str, Pair]]  # by layer, of normalised images (N, C, H, W)


@dataclass(frozen=True)
class NoiseRatio:
    """Signal and noise of one layer.

    Attributes:
        layer: name of the layer.
        signal: (N,) float64, squared deviations of each image's maps from the channels' means.
        noise: (N,) float64, squared errors of the fitted approximation.
    """

    layer: str
    signal: np.ndarray
    noise: np.ndarray


def decibels(ratio: float) -> float:
    """10 log10 of a ratio; NaN for a ratio that is not above 0 or not finite."""
    return 10 * math.log10(ratio) if 0 < ratio < math.inf else math.nan


def local_ratios(
    network: TappedNetwork, images: Images, fitting: Images, at_once: int
) -> list[NoiseRatio]:
    """The local SQNR of every convolution that takes the signs of its input.

    Args:
        network: the binary network.
        images: images to measure on.
        fitting: training images for the scale and the shift of each channel.
        at_once: images in a pass.
    """
    layers = sign_layers(network)

    def pairs(some: Tensor) -> dict[str, Pair]:
        inputs = sign_inputs(network, list(layers.values()), some)
        return {
            name: (_released(network, name, layer, x), layer.convolve(sign(x)))
            for (name, layer), x in zip(layers.items(), inputs, strict=True)
        }

    with frozen(network), torch.no_grad(), kernels_without_gradients():
        return _ratios(pairs, images, fitting, at_once, _ByChannel) if layers else []


def graph_ratios(
    network: TappedNetwork, twin: TappedNetwork, images: Images, fitting: Images, at_once: int
) -> list[NoiseRatio]:
    """The graph-wise SQNR of every layer with a feature map, except the input.

    Args:
        network: the binary network.
        twin: its full-precision twin.
        images: images to measure on.
        fitting: training images for the linear combination of channels.
        at_once: images in a pass.
    """
    chains = Chain(twin), Chain(network)

    def pairs(some: Tensor) -> dict[str, Pair]:
        signal, approximation = (chain.maps(some)[0] for chain in chains)
        return {
            name: (signal[name], approximation[name])
            for name in chains[1].cuts
            if name != INPUT and signal[name].shape == approximation[name].shape
        }

    with frozen(network), frozen(twin), torch.no_grad(), kernels_without_gradients():
        return _ratios(pairs, images, fitting, at_once, _Linear)


class _Linear:
    """The best linear combination of channels with a constant, by least squares."""

    def __init__(self) -> None:
        self.gram: Tensor | float = 0.0
        self.cross: Tensor | float = 0.0
        self.solution: Tensor | None = None

    def add(self, signal: Tensor, approximation: Tensor) -> None:
        """Add the maps of a batch."""
        x, y = _with_ones(_flat(approximation)), _flat(signal)
        self.gram = self.gram + x.T @ x
        self.cross = self.cross + x.T @ y

    def __call__(self, approximation: Tensor) -> Tensor:
        """The fitted approximation, (N h w, C)."""
        if self.solution is None:
            assert isinstance(self.gram, Tensor)
            assert isinstance(self.cross, Tensor)
            ridge = RIDGE * self.gram.diagonal()
            self.solution = torch.linalg.solve(self.gram + ridge.diag(), self.cross)
        return _with_ones(_flat(approximation)) @ self.solution


class _ByChannel:
    """The best scale and shift of each channel, by least squares."""

    def __init__(self) -> None:
        self.sums: Tensor | float = 0.0

    def add(self, signal: Tensor, approximation: Tensor) -> None:
        """Add the maps of a batch."""
        x, y = _flat(approximation), _flat(signal)
        products = (torch.ones_like(x), x, y, x * x, x * y)
        self.sums = self.sums + torch.stack([each.sum(dim=0) for each in products])

    def __call__(self, approximation: Tensor) -> Tensor:
        """The fitted approximation, (N h w, C)."""
        assert isinstance(self.sums, Tensor)
        count, x, y, xx, xy = self.sums
        variance = xx - x * x / count
        scale = (xy - x * y / count) / variance.clamp_min(1e-12)
        return _flat(approximation) * scale + (y - scale * x) / count


def _ratios(
    pairs: Pairs,
    images: Images,
    fitting: Images,
    at_once: int,
    fit: type[_Linear] | type[_ByChannel],
) -> list[NoiseRatio]:
    fits: dict[str, _Linear | _ByChannel] = {}
    sums: dict[str, Tensor] = {}
    for some, _ in fitting.batches(at_once):
        for name, (signal, approximation) in pairs(some).items():
            fits.setdefault(name, fit()).add(signal, approximation)
            total = signal.double().mean(dim=(2, 3)).sum(dim=0)
            sums[name] = sums[name] + total if name in sums else total
    found: dict[str, list[Tensor]] = {}
    for some, _ in images.batches(at_once):
        for name, (signal, approximation) in pairs(some).items():
            own, mean = _flat(signal), sums[name] / len(fitting)
            errors = own - mean, own - fits[name](approximation)
            squares = [each.square().view(len(some), -1).sum(dim=1) for each in errors]
            found.setdefault(name, []).append(torch.stack(squares))
    joined = {name: torch.cat(parts, dim=1).cpu().numpy() for name, parts in found.items()}
    return [NoiseRatio(name, *values) for name, values in joined.items()]


def _released(network: TappedNetwork, name: str, layer: BinaryConv2d, x: Tensor) -> Tensor:
    """A convolution with its latent weights, of the input as it is."""
    with released(network, Change(name, "both", (name,), name)):
        return layer.convolve(x)


def _flat(maps: Tensor) -> Tensor:
    """(N, C, h, w) to (N h w, C) float64."""
    return maps.movedim(1, -1).flatten(0, -2).double()


def _with_ones(x: Tensor) -> Tensor:
    return nn.functional.pad(x, (0, 1), value=1.0)
