"""How a candidate is trained."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, StrictBool
from pydantic.dataclasses import dataclass
from torch import nn

from ir2search.data import Augmentation


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Recipe:
    """The ``[recipe]`` section of a study file; the default is the paper's for ResNet-20.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step.
        optimizer: ``"sgd"`` (with momentum), ``"adam"`` or ``"adamw"``.
        lr: highest learning rate.
        momentum: of SGD.
        weight_decay: of all parameters.
        schedule: of the learning rate after the warm-up, from ``lr`` to 0: ``"cosine"``,
            ``"linear"``, or ``"constant"`` to stay at ``lr``.
        warmup_epochs: epochs over which the rate rises linearly from 0; may be a fraction.
        label_smoothing: of the cross-entropy.
        crop_padding: pixels of padding before the random crop; 0 for no crop.
        flip: whether half of the images are mirrored.
    """

    epochs: Annotated[int, Field(strict=True, ge=1)] = 500
    batch_size: Annotated[int, Field(strict=True, ge=2)] = 128
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 0.11
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 1e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_epochs: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] = 0.0
    label_smoothing: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    crop_padding: Annotated[int, Field(strict=True, ge=0, le=64)] = 4
    flip: StrictBool = True

    @property
    def augmentation(self) -> Augmentation:
        """What is done to training images."""
        return Augmentation(self.crop_padding, self.flip)

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of all of the network's parameters, at rate `lr`."""
        parameters = network.parameters()
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, self.lr, self.momentum, weight_decay=self.weight_decay
            )
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, self.lr, weight_decay=self.weight_decay)

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
