"""Test whether an attribution method can be trusted on a network.

Gradients through a sign are surrogates, so each method is tested on the network itself:

- deletion, insertion, infidelity: the logit depends on the pixels with the highest attributions;
- sensitivity: similar images have similar attributions;
- randomisation: attributions depend on the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor, nn
from torch.nn import functional

from ir2search.information.attributions import LayerAttribution, MethodName, attribute
from ir2search.information.chain import INPUT, RECOVERY, Chain
from ir2search.information.map_measures import spearman
from ir2search.information.passes import frozen
from ir2search.measures.names import RANDOM_ORDER
from ir2search.models.network import TappedNetwork
from ir2search.nn import kernels_without_gradients

FRACTIONS = 16  # steps in which pixels are deleted or inserted
PERTURBATIONS = 10  # infidelity adds noise to each image ten times
NOISE = 0.2  # standard deviation of this noise
RADIUS = 0.02  # sensitivity changes each pixel by at most this
NEIGHBOURS = 4  # changed copies of an image for sensitivity; each needs an attribution
SENSITIVITY_IMAGES = 16  # sensitivity is measured on the first 16 images


@dataclass(frozen=True)
class Faithfulness:
    """Test results of one method's pixel attributions, for each image.

    Attributes:
        method: its name, or ``"random order"``, which has only the two curves.
        deletion: (N, 17): probability of the label after 0, 1/16, ... of the pixels are blanked,
            highest attributions first. The curve falls early if these pixels matter.
        insertion: (N, 17): probability of the label after 0, 1/16, ... of the pixels are put back
            on a blank image, in the same order.
        infidelity: (N,), at least 0: captum's `infidelity`, normalised.
        sensitivity: (N,), at least 0: captum's `sensitivity_max`; NaN after the first 16 images.
        randomised: (N,), from -1 to 1: Spearman's correlation with the attributions of the same
            network with shuffled weights.
    """

    method: str
    deletion: Tensor
    insertion: Tensor
    infidelity: Tensor | None = None
    sensitivity: Tensor | None = None
    randomised: Tensor | None = None


def faithfulness(
    network: TappedNetwork,
    images: Tensor,
    labels: Tensor,
    method: MethodName,
    *,
    seed: int,
    steps: int,
    memory: int,
) -> Faithfulness:
    """Test the pixel attributions of a method.

    Sources: deletion and insertion, Petsiuk et al., "RISE", BMVC 2018, section 4.2; infidelity and
    sensitivity, Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019,
    definitions 2.1 and 3.1; randomisation, Adebayo et al., "Sanity Checks for Saliency Maps",
    NeurIPS 2018, section 3.

    Args:
        network: trained; not changed.
        images: (N, C, H, W) float, normalised, on the network's device.
        labels: (N,) int64: the logits to explain.
        method: the attribution method.
        seed: seed of the noise and of the shuffled weights.
        steps: points of the quadrature along a path.
        memory: limit for activations and gradients, in MiB.
    """

    def explain(of: TappedNetwork, pixels: Tensor, at: str = INPUT) -> LayerAttribution:
        with torch.enable_grad():  # captum's metrics run without gradients
            explained = labels[: len(pixels)]
            return attribute(of, pixels, explained, (method,), (at,), steps=steps, memory=memory)[0]

    def ranking(of: TappedNetwork, pixels: LayerAttribution) -> Tensor:
        if method != "grad_cam":
            return pixels.map
        last = list(Chain(of).cuts)[-1]
        if last == RECOVERY:  # Grad-CAM is defined on the maps of the last unit
            last = list(Chain(of).units)[-1]
        coarse = explain(of, images, last).map[:, None]
        size = (images.shape[-2], images.shape[-1])
        return functional.interpolate(coarse, size, mode="bilinear")[:, 0]

    draw = _Draws(seed)
    with frozen(network), kernels_without_gradients():
        own = explain(network, images)
        order = ranking(network, own)
        deletion, insertion = _curves(network, images, labels, order)
        unfaithful = infidelity(
            network,
            draw.noise,
            images,
            own.own,
            target=labels,
            n_perturb_samples=PERTURBATIONS,
            normalize=True,
        )
        first = images[:SENSITIVITY_IMAGES]
        sensitivity = sensitivity_max(
            lambda pixels: (explain(network, pixels[0]).own,),  # captum passes and wants tuples
            first,
            perturb_func=draw.neighbours,
            perturb_radius=RADIUS,
            n_perturb_samples=NEIGHBOURS,
            max_examples_per_batch=len(first),
        )
        sensitivity = functional.pad(sensitivity, (0, len(images) - len(first)), value=torch.nan)
        other = shuffled(network, seed)
        similarity = spearman(order, ranking(other, explain(other, images)))
    return Faithfulness(method, deletion, insertion, unfaithful, sensitivity, similarity)


class _Draws:
    """Random changes of images, with a generator of their own: tests may run at the same time."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def noise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """For Captum's `infidelity`: the share of each pixel that is taken away, and what is left.

        Captum wants shares, (x - x') / x, for attributions that contain the input as a factor; all
        methods here are of this kind. The baseline is 0, the mean colour.
        """
        share = NOISE * torch.randn(images.shape, generator=self._generator).to(images.device)
        return share, images * (1 - share)

    def neighbours(self, images: Tensor, radius: float) -> tuple[Tensor]:
        """Images with each pixel changed by up to a radius, for Captum's `sensitivity_max`."""
        change = torch.empty(images.shape).uniform_(-radius, radius, generator=self._generator)
        return (images + change.to(images.device),)


def random_order(network: TappedNetwork, images: Tensor, labels: Tensor, seed: int) -> Faithfulness:
    """Curves for pixels in a random order; a faithful method must be better."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(len(images), *images.shape[2:], generator=generator).to(images.device)
    with frozen(network), kernels_without_gradients():
        return Faithfulness(RANDOM_ORDER, *_curves(network, images, labels, order))


def shuffled(network: TappedNetwork, seed: int) -> TappedNetwork:
    """A copy of the network in which the values of each parameter tensor are shuffled."""
    result = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in result.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return result


@torch.no_grad()
def _curves(
    network: nn.Module, images: Tensor, labels: Tensor, order: Tensor
) -> tuple[Tensor, Tensor]:
    """Deletion and insertion curves, (N, 17) each, of pixels ordered by (N, H, W) attributions."""
    rank = order.flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view_as(order)
    pixels = order[0].numel()
    deletion, insertion = [], []
    for step in range(FRACTIONS + 1):
        taken = (rank < pixels * step / FRACTIONS)[:, None]
        deletion.append(_probability(network, images * ~taken, labels))
        insertion.append(_probability(network, images * taken, labels))
    return torch.stack(deletion, dim=1), torch.stack(insertion, dim=1)


def _probability(network: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    return network(images).double().softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
