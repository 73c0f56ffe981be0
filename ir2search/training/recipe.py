"""How a candidate is trained: a study file's ``[recipe]``, read without torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictBool
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ir2search.data import Augmentation

_Decay = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Distillation:
    """The ``[recipe.distillation]`` section of a study file.

    Attributes:
        teacher: a preset, of which the full-precision twin teaches, or ``"resnet18"`` or
            ``"resnet34"`` as torchvision and timm have them.
        weights: file of the teacher's weights.
        temperature: T, by which both logits are divided.
        share: of the loss that comes from the teacher; the rest from the labels.
    """

    teacher: str
    weights: str
    temperature: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 1.0
    share: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Recipe:
    """The ``[recipe]`` section of a study file; the default is the paper's for ResNet-20.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step.
        optimizer: ``"sgd"`` (with momentum), ``"adam"`` or ``"adamw"``.
        lr: highest learning rate.
        momentum: of SGD.
        weight_decay: of all parameters but
        binary_weight_decay: of the weights that are binarised, where it differs.
        schedule: of the learning rate after the warm-up, from ``lr`` to 0: ``"cosine"``,
            ``"linear"``, or ``"constant"`` to stay at ``lr``.
        warmup_epochs: epochs over which the rate rises linearly from 0; may be a fraction.
        label_smoothing: of the cross-entropy.
        crop_padding: pixels of padding before the random crop; 0 for no crop.
        flip: whether half of the images are mirrored.
        crop_area: smallest share of an image that a random resized crop takes, before the padding
            (0.08 is usual for ImageNet); 1 for no such crop.
        threshold_schedule: of the candidate's restriction threshold: ``"constant"``, ``"warmup"``
            to rise linearly from 0 over the first half of training, or ``"annealed"`` to fall to
            0 as half a cosine.
        distillation: a teacher, where there is one.
        pretraining: how the network is trained before, with real weights (stage 1 of two-stage
            training: Martinez et al., "Training binary neural networks with real-to-binary
            convolutions", ICLR 2020, section 4.1); the weights of its best epoch start this one.
    """

    epochs: Annotated[int, Field(strict=True, ge=1)] = 500
    batch_size: Annotated[int, Field(strict=True, ge=2)] = 128
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 0.11
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.9
    weight_decay: _Decay = 1e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_epochs: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    label_smoothing: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    crop_padding: Annotated[int, Field(strict=True, ge=0, le=64)] = 4
    flip: StrictBool = True
    crop_area: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    threshold_schedule: Literal["constant", "warmup", "annealed"] = "constant"
    binary_weight_decay: _Decay | None = None
    distillation: Distillation | None = None
    pretraining: Recipe | None = None

    @property
    def total_epochs(self) -> int:
        """Epochs of this recipe and of its pretraining."""
        return self.epochs + (self.pretraining.total_epochs if self.pretraining else 0)

    @property
    def augmentation(self) -> Augmentation:
        """What is done to training images."""
        from ir2search.data import Augmentation

        return Augmentation(self.crop_padding, self.flip, self.crop_area)

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of all of the network's parameters, at rate `lr`."""
        import torch

        parameters = self._groups(network)
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, self.lr, self.momentum, weight_decay=self.weight_decay, fused=True
            )
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, self.lr, weight_decay=self.weight_decay, fused=True)

    def rate(self, progress: float) -> float:
        """Learning rate after ``progress`` epochs, from 0 to `epochs`."""
        if progress < self.warmup_epochs:
            return self.lr * progress / self.warmup_epochs
        if self.schedule == "constant" or self.warmup_epochs >= self.epochs:
            return self.lr
        share = (progress - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        if self.schedule == "linear":
            return self.lr * (1 - share)
        return self.lr * (1 + math.cos(math.pi * share)) / 2

    def threshold(self, threshold: float, progress: float) -> float:
        """The restriction threshold after ``progress`` epochs, where ``threshold`` is the whole."""
        share = progress / self.epochs
        if self.threshold_schedule == "warmup":
            return threshold * min(1.0, 2 * share)
        if self.threshold_schedule == "annealed":
            return threshold * (1 + math.cos(math.pi * share)) / 2
        return threshold

    def _groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameters by weight decay, the binarised weights apart where theirs differs."""
        from ir2search.nn import BinaryConv2d

        if self.binary_weight_decay is None:
            return [{"params": list(network.parameters())}]
        binary = [
            module.weight
            for module in network.modules()
            if isinstance(module, BinaryConv2d) and module.binarisation.weights == "binary"
        ]
        apart = set(binary)
        others = [parameter for parameter in network.parameters() if parameter not in apart]
        return [{"params": others}, {"params": binary, "weight_decay": self.binary_weight_decay}]
