"""Which attribution method is to be trusted on a network.

Gradients through a sign are surrogates, so that each method has to show on the network at hand that
the pixels it points at are those that the logit depends on (deletion, insertion, infidelity), that
it says nearly the same of nearly the same image (sensitivity), and that what it says depends on the
weights at all (randomisation).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor, nn
from torch.nn import functional

from ir2search.information.attributions import LayerAttribution, MethodName, attribute, frozen
from ir2search.information.chain import INPUT, RECOVERY, Chain
from ir2search.information.measures import spearman
from ir2search.models.network import TappedNetwork

FRACTIONS = 16  # steps in which pixels are deleted or inserted
PERTURBATIONS = 10  # of an image, for infidelity,
NOISE = 0.2  # with noise of this deviation
RADIUS = 0.02  # of the ball around an image in which sensitivity looks,
TRIES = 4  # so many times,
LOOKED_AROUND = 16  # of so many images: a look costs an attribution


@dataclass(frozen=True)
class Faithfulness:
    """How one method's pixel attributions fare, by image.

    Attributes:
        method: its name, or ``"random order"`` for pixels at random.
        deletion: (N, steps + 1): probability of the label with 0, 1/16, ... of the pixels blanked,
            those of most attribution first. Falls soon where they matter.
        insertion: (N, steps + 1): the same, from a blank image, with pixels put back.
        infidelity: (N,), at least 0, see captum's `infidelity`, normalised; None for random order.
        sensitivity: (N,), at least 0, see captum's `sensitivity_max`, not a number beyond the
            first images; None likewise.
        randomised: (N,), from -1 to 1: Spearman's correlation with the attributions of the same
            network with shuffled weights; None likewise.
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
    """Try a method's attributions of pixels.

    Sources: deletion and insertion, Petsiuk et al., "RISE", BMVC 2018, section 4.2; infidelity and
    sensitivity, Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019,
    definitions 2.1 and 3.1; randomisation, Adebayo et al., "Sanity Checks for Saliency Maps",
    NeurIPS 2018, section 3.

    Args:
        network: trained; left as it was.
        images: (N, C, H, W) float, normalised, where the network lies.
        labels: (N,) int64: the logits that are explained.
        method: which.
        seed: of noise and shuffles.
        steps: see `attribute`.
        memory: see `attribute`.
    """

    def explain(of: TappedNetwork, pixels: Tensor, at: str = INPUT) -> LayerAttribution:
        with torch.enable_grad():  # which captum's measures switch off
            explained = labels[: len(pixels)]
            return attribute(of, pixels, explained, (method,), (at,), steps=steps, memory=memory)[0]

    def ranking(of: TappedNetwork, pixels: LayerAttribution) -> Tensor:
        if method != "grad_cam":
            return pixels.map
        last = list(Chain(of).cuts)[-1]
        if last == RECOVERY:  # pooled maps of all depths: the last unit's are the usual ones
            last = list(Chain(of).units)[-1]
        coarse = explain(of, images, last).map[:, None]
        size = (images.shape[-2], images.shape[-1])
        return functional.interpolate(coarse, size, mode="bilinear")[:, 0]

    with frozen(network), torch.random.fork_rng():
        torch.manual_seed(seed)
        own = explain(network, images)
        order = ranking(network, own)
        deletion, insertion = _curves(network, images, labels, order)
        unfaithful = infidelity(
            network,
            _perturbed,
            images,
            own.own,
            target=labels,
            n_perturb_samples=PERTURBATIONS,
            normalize=True,
        )
        looked_around = images[:LOOKED_AROUND]
        moved = sensitivity_max(
            lambda pixels: (explain(network, pixels[0]).own,),  # a tuple, as captum gives one
            looked_around,
            perturb_radius=RADIUS,
            n_perturb_samples=TRIES,
            max_examples_per_batch=len(looked_around),
        )
        unknown = moved.new_full((len(images) - len(moved),), torch.nan)
        other = shuffled(network, seed)
        alike = spearman(order, ranking(other, explain(other, images)))
    return Faithfulness(method, deletion, insertion, unfaithful, torch.cat([moved, unknown]), alike)


def random_order(network: TappedNetwork, images: Tensor, labels: Tensor, seed: int) -> Faithfulness:
    """What pixels in a random order give: a method that does no better says nothing."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(len(images), *images.shape[2:], generator=generator).to(images.device)
    with frozen(network):
        return Faithfulness("random order", *_curves(network, images, labels, order))


def shuffled(network: TappedNetwork, seed: int) -> TappedNetwork:
    """A copy whose weights, within each of its tensors, are in another order."""
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
    """Deletion and insertion curves of pixels by (N, H, W) attributions, (N, steps + 1) each."""
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


def _perturbed(images: Tensor) -> tuple[Tensor, Tensor]:
    noise = NOISE * torch.randn_like(images)
    return noise, images - noise
