"""The hyperparameters of a training. This module does not import torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictBool
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ir2search.data import Augmentation

_AtLeastZero = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
_AboveZero = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Distillation:
    """The ``[recipe.distillation]`` section of a study file.

    Attributes:
        teacher: name of a preset, whose full-precision twin is the teacher, or ``"resnet18"`` or
            ``"resnet34"``, the standard networks of torchvision and timm.
        weights: file with the teacher's weights.
        temperature: T, which divides the logits of teacher and student.
        share: weight of the teacher's loss, from 0 to 1; the loss on the labels has the rest.
    """

    teacher: str
    weights: str
    temperature: _AboveZero = 1.0
    share: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Recipe:
    """The ``[recipe]`` section of a study file; the default is the paper's for ResNet-20.

    Attributes:
        epochs: number of passes over the training split.
        batch_size: number of images in a step.
        optimizer: ``"sgd"`` (with momentum), ``"adam"`` or ``"adamw"``.
        lr: highest learning rate.
        momentum: momentum of SGD.
        weight_decay: weight decay of all parameters.
        schedule: the learning rate after the warm-up: ``"cosine"`` or ``"linear"`` from ``lr`` to
            0, or ``"constant"``.
        warmup_epochs: number of epochs in which the rate increases linearly from 0; may be a
            fraction.
        label_smoothing: label smoothing of the cross-entropy.
        crop_padding: pixels of padding before the random crop; 0 for no crop.
        flip: whether each image is mirrored with probability 1/2.
        crop_area: smallest share of an image in a random resized crop, which is done before the
            padding (0.08 is usual for ImageNet); 1 for no such crop.
        threshold_schedule: the candidate's restriction threshold: ``"constant"``; ``"warmup"``, a
            linear increase from 0 over the first half of training; or ``"annealed"``, a decrease
            to 0 along half a cosine.
        binary_weight_decay: weight decay of the binarised weights; None for ``weight_decay``.
        distillation: the teacher; None for none.
        pretraining: recipe of an earlier training with real weights, whose best weights start this
            one (stage 1 of two-stage training: Martinez et al., "Training binary neural networks
            with real-to-binary convolutions", ICLR 2020, section 4.1); None for none.
    """

    epochs: Annotated[int, Field(strict=True, ge=1)] = 500
    batch_size: Annotated[int, Field(strict=True, ge=2)] = 128
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: _AboveZero = 0.11
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.9
    weight_decay: _AtLeastZero = 1e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_epochs: _AtLeastZero = 0.0
    label_smoothing: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    crop_padding: Annotated[int, Field(strict=True, ge=0, le=64)] = 4
    flip: StrictBool = True
    crop_area: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    threshold_schedule: Literal["constant", "warmup", "annealed"] = "constant"
    binary_weight_decay: _AtLeastZero | None = None
    distillation: Distillation | None = None
    pretraining: Recipe | None = None

    @property
    def total_epochs(self) -> int:
        """Number of epochs, including pretraining."""
        return self.epochs + (self.pretraining.total_epochs if self.pretraining else 0)

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation of training images."""
        from ir2search.data import Augmentation

        return Augmentation(self.crop_padding, self.flip, self.crop_area)

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of all parameters of the network, with learning rate `lr`."""
        import torch

        parameters = self._groups(network)
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, self.lr, self.momentum, weight_decay=self.weight_decay, fused=True
            )
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, self.lr, weight_decay=self.weight_decay, fused=True)

    def rate(self, progress: float) -> float:
        """The learning rate after ``progress`` epochs, a number from 0 to `epochs`."""
        if progress < self.warmup_epochs:
            return self.lr * progress / self.warmup_epochs
        if self.schedule == "constant" or self.warmup_epochs >= self.epochs:
            return self.lr
        share = (progress - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        if self.schedule == "linear":
            return self.lr * (1 - share)
        return self.lr * (1 + math.cos(math.pi * share)) / 2

    def threshold(self, threshold: float, progress: float) -> float:
        """The restriction threshold after ``progress`` epochs.

        Args:
            threshold: the candidate's threshold, which the schedule scales.
            progress: number of epochs trained so far, a fraction.
        """
        share = progress / self.epochs
        if self.threshold_schedule == "warmup":
            return threshold * min(1.0, 2 * share)
        if self.threshold_schedule == "annealed":
            return threshold * (1 + math.cos(math.pi * share)) / 2
        return threshold

    def _groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups: binarised weights with their own weight decay form a second group."""
        from ir2search.nn import BinaryConv2d

        if self.binary_weight_decay is None:
            return [{"params": list(network.parameters())}]
        binary = [
            module.weight
            for module in network.modules()
            if isinstance(module, BinaryConv2d) and module.binarisation.weights == "binary"
        ]
        is_binary = set(binary)
        others = [parameter for parameter in network.parameters() if parameter not in is_binary]
        return [{"params": others}, {"params": binary, "weight_decay": self.binary_weight_decay}]
