"""Captum's integrated gradients at every layer of a network.

A layer alone does not carry all that reaches the logits: tapped feature maps pass it by on their
way to the fusion. So each layer is attributed together with the taps above it, as one cut through
the network: every path from the image to the logits crosses the cut once, and in a smooth network
the attributions over it sum to f(x) - f(baseline) (Sundararajan et al., "Axiomatic Attribution
for Deep Networks", ICML 2017, section 3). Where a sign with a surrogate gradient follows, they do
not; by how much is the completeness gap.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from torch import Tensor, nn

from ir2search.models.network import TappedNetwork

STEPS = 32  # of the Gauss-Legendre quadrature over the path from the baseline
BATCH = 512  # interpolated images in a pass, whatever the number of images


@dataclass(frozen=True)
class Cut:
    """A layer, and the tapped layers above it whose maps bypass it."""

    name: str
    bypassing: tuple[str, ...]


@dataclass(frozen=True)
class LayerAttribution:
    """Attributions over one cut.

    Attributes:
        layer: the layer's name; ``"input"`` for the images.
        map: (N, h, w) float, at least 0: the sum over channels of the layer's attributions'
            absolute values.
        bypassing: (N,) float, at least 0: the sum of absolute values over the taps that pass the
            layer by.
        total: (N,) float: the sum of all attributions over the cut, with their signs.
        change: (N,) float: f(x) - f(baseline), the target's logit.
    """

    layer: str
    map: Tensor
    bypassing: Tensor
    total: Tensor
    change: Tensor


def cuts(network: TappedNetwork) -> list[Cut]:
    """One cut after each layer that gives a feature map: stem, units of stages, recovery."""
    result: list[Cut] = []
    passed: list[str] = []
    for layer in network.layer_names:
        names = _units(network, layer)
        result += [Cut(name, tuple(passed)) for name in names]
        if layer in network.tap_names:
            passed.append(names[-1])
    if network.tap_names:
        result.append(Cut("recovery", ()))
    return result


def attribute(
    network: TappedNetwork,
    images: Tensor,
    labels: Tensor,
    on_layer: Callable[[str], None] = lambda name: None,
    steps: int = STEPS,
) -> Iterator[LayerAttribution]:
    """Integrated gradients of the labels' logits over the input and over every cut.

    The baseline is the image of zeros, the mean of normalised data. The network is left as it
    was: parameters, mode and hooks.

    Args:
        network: trained; lies where the images do.
        images: (N, C, H, W) float, normalised.
        labels: (N,) int64: the logits that are explained.
        on_layer: told each layer's name when it is done.
        steps: points of the quadrature; its own error shows in a smooth network's gap.
    """
    with _frozen(network):
        change = _change(network, images, labels)
        arguments = {
            "baselines": torch.zeros_like(images[:1]),
            "target": labels,
            "n_steps": steps,
            "internal_batch_size": max(BATCH, len(images)),
        }
        at_input = IntegratedGradients(network).attribute(images, **arguments)
        yield _summary("input", [at_input], change)
        on_layer("input")
        for cut in cuts(network):
            modules = [network.get_submodule(name) for name in (cut.name, *cut.bypassing)]
            with warnings.catch_warnings():
                # a cut depends on the image past every one of its layers, as captum asks
                warnings.filterwarnings("ignore", "Multiple layers provided")
                maps = LayerIntegratedGradients(network, modules).attribute(images, **arguments)
            yield _summary(cut.name, list(maps), change)
            on_layer(cut.name)


def _summary(name: str, maps: list[Tensor], change: Tensor) -> LayerAttribution:
    own, *bypassing = [a.detach().double() for a in maps]
    none = torch.zeros_like(change)
    return LayerAttribution(
        layer=name,
        map=own.abs().sum(dim=1),
        bypassing=sum((a.abs().sum(dim=(1, 2, 3)) for a in bypassing), none),
        total=sum((a.sum(dim=(1, 2, 3)) for a in bypassing), own.sum(dim=(1, 2, 3))),
        change=change,
    )


@torch.no_grad()
def _change(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits = network(images).gather(1, labels[:, None]).squeeze(1)
    baseline = network(torch.zeros_like(images[:1]))[0, labels]
    return (logits - baseline).double()


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for parameters, put back as they were afterwards."""
    training = network.training
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        network.train(training)


def _units(network: TappedNetwork, layer: str) -> list[str]:
    """Names of what a layer is made of, as far as each gives a feature map that others take."""
    if not layer.startswith("stage"):
        return [layer]
    return [f"{layer}.{name}" for name, _ in network.get_submodule(layer).named_children()]
