"""The loss of one step: on the original and the restricted images, on labels and a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ir2search.choices import Normalization
from ir2search.models.network import TappedNetwork
from ir2search.nn import fixed_weights, restrict
from ir2search.training.distillation import distillation_loss
from ir2search.training.recipe import Recipe
from ir2search.training.statistics import RunningStatistics

Criterion = Callable[[Tensor], Tensor]  # from logits (N, classes) to a loss


@dataclass(frozen=True)
class StepLoss:
    """The loss of a batch.

    Attributes:
        loss: with gradient.
        restricted: share of pixels that the restriction set to 0.
        logits: (N, classes), of the original images.
    """

    loss: Tensor
    restricted: Tensor | float
    logits: Tensor


def criterion_of(recipe: Recipe, labels: Tensor, teacher_logits: Tensor | None) -> Criterion:
    """The loss as a function of logits (N, classes).

    Args:
        recipe: its label smoothing and distillation are used.
        labels: (N,) int64.
        teacher_logits: (N, classes) if the recipe has a distillation, else None.
    """

    def label_loss(logits: Tensor) -> Tensor:
        smoothing = recipe.label_smoothing
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

    distillation = recipe.distillation
    if distillation is None or teacher_logits is None:
        return label_loss

    def mixed_loss(logits: Tensor) -> Tensor:
        soft = distillation_loss(logits, teacher_logits, distillation.temperature)
        return distillation.share * soft + (1 - distillation.share) * label_loss(logits)

    return mixed_loss


def step_loss(
    network: TappedNetwork,
    images: Tensor,
    criterion: Criterion,
    threshold: float,
    normalization: Normalization,
    statistics: RunningStatistics,
) -> StepLoss:
    """Compute the loss of a batch.

    With a threshold, the loss is the mean of the losses on the original and the restricted images
    ("IR²Net", arXiv 2210.02637, section 3.2). A teacher sees the original images only.

    If no pixel is restricted, both losses are equal. On a CPU the second forward pass is then
    skipped. On a GPU it is not, because the check would wait for the GPU.

    Args:
        network: in training mode.
        images: (N, C, H, W), normalised.
        criterion: the loss of logits.
        threshold: threshold of the restriction; 0 is off.
        normalization: of the attention map.
        statistics: the running statistics of the network's BatchNorms.
    """
    if threshold == 0:
        logits = network(images)
        return StepLoss(criterion(logits), 0.0, logits)
    can_skip = images.device.type == "cpu"
    if can_skip:
        statistics.keep()
    with fixed_weights():
        logits, features = network.logits_and_features(images)
        restricted = restrict(images, features, threshold, normalization)
        if can_skip and torch.equal(restricted, images):
            statistics.repeat()
            return StepLoss(criterion(logits), 0.0, logits)
        share = (restricted == 0).all(dim=1).float().mean()
        loss = (criterion(logits) + criterion(network(restricted))) / 2
        return StepLoss(loss, share, logits)
