"""The hyperparameters of a training. This module does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictBool, ValidationError
from pydantic.dataclasses import dataclass

from ir2search import text
from ir2search.errors import StudyError
from ir2search.validation import Epochs, options_of, rule_of

if TYPE_CHECKING:
    from ir2search.data import Augmentation

# all candidates are trained for the same epochs, with the same teacher
NOT_SEARCHED = ("epochs", "validate_every", "distillation", "pretraining")
# on digits, 3 epochs at the whole rate made most networks of a supernet worse
FINETUNING_RATE = 0.1

StemStart = Literal["kaiming", "dirac", "whitened"]

_AtLeastZero = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
_AboveZero = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Distillation:
    """The ``[recipe.distillation]`` section of a study file.

    Attributes:
        teacher: name of a preset, whose full-precision twin is the teacher; the ``candidate.json``
            of a network that was trained here; or ``"resnet18"`` or ``"resnet34"``, the standard
            networks of torchvision and timm.
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
        optimizer: ``"sgd"`` (with momentum), ``"adam"``, ``"adamw"``, or ``"muon"`` for the weights
            of all layers but the first and the last, with AdamW for the other parameters (Jordan
            et al., "Muon: An optimizer for hidden layers in neural networks", 2024).
        lr: highest learning rate.
        other_lr: highest learning rate of the parameters that Muon does not take.
        momentum: momentum of SGD and of Muon.
        nesterov: whether SGD's momentum is Nesterov's (Sutskever et al., ICML 2013); Muon's always
            is.
        weight_decay: weight decay of all parameters.
        norm_weight_decay: weight decay of BatchNorms and biases; None for ``weight_decay`` (0 is
            advised by He et al., "Bag of tricks for image classification", CVPR 2019).
        norm_bias_factor: factor of the learning rate of the BatchNorms' biases (Jordan, "94% on
            CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.4).
        schedule: the learning rate after the warm-up: ``"cosine"`` or ``"linear"`` from ``lr`` to
            0, or ``"constant"``.
        warmup_epochs: number of epochs in which the rate increases linearly from 0; may be a
            fraction.
        label_smoothing: label smoothing of the cross-entropy.
        crop_padding: pixels of padding before the random crop; 0 for no crop.
        padding: values of the padding: ``"zeros"``, or ``"reflect"`` for the mirror image
            (Jordan 2024).
        flip: whether each image is mirrored with probability 1/2.
        alternating_flip: whether, with ``flip``, only the first epoch is random, and then each
            image is mirrored in every second epoch (Jordan 2024, section 3.6).
        cutout: side in pixels of a square that is blanked at a random place of each image (DeVries
            and Taylor, "Improved regularization of convolutional neural networks with cutout",
            2017); 0 for none.
        crop_area: smallest share of an image in a random resized crop, which is done before the
            padding (0.08 is usual for ImageNet); 1 for no such crop.
        threshold_schedule: the candidate's restriction threshold: ``"constant"``; ``"warmup"``, a
            linear increase from 0 over the first half of training; or ``"annealed"``, a decrease
            to 0 along half a cosine.
        binary_weight_decay: weight decay of the binarised weights; None for ``weight_decay`` (0 is
            advised with Adam by Liu et al., "How do Adam and training strategies help BNNs
            optimization?", ICML 2021).
        fixed_norms: whether binarised weights are scaled to their initial norm after each step.
            A sign ignores the scale, which otherwise grows and so slows the changes of signs.
        ema: decay of the moving average of the weights over the steps, such as 0.999; the averaged
            weights are evaluated and kept (Izmailov et al., "Averaging weights leads to wider
            optima", UAI 2018); 0 for no average.
        stem_start: initial weights of the first convolution: ``"kaiming"``; ``"dirac"``, copies of
            the input channels (Zagoruyko and Komodakis, "DiracNets", 2017); or ``"whitened"``,
            principal components of the images' patches (Jordan 2024, section 3.2).
        first_side: share of the images' sides at which the training begins; they grow over the
            first two thirds of the epochs to the whole. Smaller images make faster steps (Tan and
            Le, "EfficientNetV2", ICML 2021, section 4); 1 for whole images from the beginning.
        validate_every: number of epochs from one validation to the next; the last epoch is always
            validated. The best weights of the validated epochs are kept.
        distillation: the teacher; None for none.
        pretraining: recipe of an earlier training with real weights, whose best weights start this
            one (stage 1 of two-stage training: Martinez et al., "Training binary neural networks
            with real-to-binary convolutions", ICLR 2020, section 4.1); None for none.
    """

    epochs: Epochs = 500
    batch_size: Annotated[int, Field(strict=True, ge=2, le=1_000_000)] = 128
    optimizer: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    lr: _AboveZero = 0.11
    other_lr: _AboveZero = 0.01
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.9
    nesterov: StrictBool = False
    weight_decay: _AtLeastZero = 1e-4
    norm_weight_decay: _AtLeastZero | None = None
    norm_bias_factor: _AboveZero = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_epochs: _AtLeastZero = 0.0
    label_smoothing: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    crop_padding: Annotated[int, Field(strict=True, ge=0, le=64)] = 4
    padding: Literal["zeros", "reflect"] = "zeros"
    flip: StrictBool = True
    alternating_flip: StrictBool = False
    cutout: Annotated[int, Field(strict=True, ge=0, le=4096)] = 0
    crop_area: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    threshold_schedule: Literal["constant", "warmup", "annealed"] = "constant"
    binary_weight_decay: _AtLeastZero | None = None
    fixed_norms: StrictBool = False
    ema: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    stem_start: StemStart = "kaiming"
    first_side: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    validate_every: Annotated[int, Field(strict=True, ge=1)] = 1
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

        return Augmentation(
            crop_padding=self.crop_padding,
            padding=self.padding,
            flip=self.flip,
            alternating_flip=self.alternating_flip,
            crop_area=self.crop_area,
            cutout=self.cutout,
        )

    def side(self, epoch: int) -> float:
        """The share of the images' sides in an epoch, from 0."""
        growth = min(1.0, 1.5 * epoch / self.epochs)
        return self.first_side + growth * (1 - self.first_side)

    def is_validated(self, epoch: int, last: int) -> bool:
        """Whether an epoch, from 1, is validated in a training that stops after epoch ``last``."""
        return epoch % self.validate_every == 0 or epoch == last

    def with_values(self, values: Mapping[str, Any], place: str = "[recipe]") -> Recipe:
        """The recipe with other values of some fields, such as those that a study searches.

        Args:
            values: the values by the names of their fields.
            place: where they are from, for the error.

        Raises:
            StudyError: there is no such field, the field cannot be searched, or a value is out of
                range.
        """
        known = [name for name in Recipe.__dataclass_fields__ if name not in NOT_SEARCHED]
        for name in values:
            if name in NOT_SEARCHED:
                raise StudyError(f"{place} {name}: must be the same for all candidates")
            if name not in known:
                hint = text.suggest(name, known)
                raise StudyError(f"{place} {name}: there is no such key; {hint}")
        try:
            return replace(self, **values)
        except ValidationError as error:
            first = error.errors()[0]
            field, value = first["loc"][0], first["input"]
            hint = text.did_you_mean(value, options_of(first))
            rule = rule_of(first)
            raise StudyError(f"{place} {field}: {rule}, but got {value!r}{hint}") from None

    def for_finetuning(self, epochs: int) -> Recipe:
        """The recipe for a training from weights that are good already.

        Its learning rates are `FINETUNING_RATE` of the recipe's, the warm-up takes the same share
        of the epochs, at most as long as before, and images are whole from the beginning.
        """
        return replace(
            self,
            epochs=epochs,
            lr=self.lr * FINETUNING_RATE,
            other_lr=self.other_lr * FINETUNING_RATE,
            warmup_epochs=self.warmup_epochs * min(1.0, epochs / self.epochs),
            first_side=1.0,
        )

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
