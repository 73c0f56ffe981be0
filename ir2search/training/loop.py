"""Train one candidate: the whole loop on one page."""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ir2search.data import ImageData, Split, StreamedSplit
from ir2search.errors import InputError, TrainingDiverged, WeightsError
from ir2search.files import make_folder
from ir2search.interrupts import Interrupted as Interrupted
from ir2search.models.network import TappedNetwork
from ir2search.nn import keep_memory, kernels_on, sharpen
from ir2search.seeds import derive_seed
from ir2search.space import Candidate, build
from ir2search.training.averaging import moving_average
from ir2search.training.checkpoint import (
    load_fitting,
    load_network,
    load_progress,
    save_network,
    save_progress,
)
from ir2search.training.device import channels_last, pick_device
from ir2search.training.evaluation import accuracy
from ir2search.training.initialisation import initialise_stem
from ir2search.training.layout import BEST, PRETRAINING
from ir2search.training.optimizers import fix_norms, make_optimizer, set_rate
from ir2search.training.recipe import Recipe
from ir2search.training.results import EpochResult, TrainingResult
from ir2search.training.sizes import check_sizes, shrunk
from ir2search.training.statistics import RunningStatistics, calibrate
from ir2search.training.step import criterion_of, step_loss
from ir2search.training.threads import best_threads

STATISTICS_IMAGES = 4096  # images that give the BatchNorms' statistics of averaged weights


class TrainingOptions(TypedDict, total=False):
    """Arguments of `train` that its callers pass on: where it runs, and what it calls."""

    device: torch.device | None
    teacher: nn.Module | None
    on_epoch: Callable[[EpochResult], None]
    on_step: Callable[[float], None]
    should_stop: Callable[[], bool]


def train(
    candidate: Candidate,
    recipe: Recipe,
    data: ImageData,
    folder: Path,
    *,
    seed: int,
    start: Mapping[str, Tensor] | None = None,
    until: int | None = None,
    device: torch.device | None = None,
    teacher: nn.Module | None = None,
    on_epoch: Callable[[EpochResult], None] = lambda result: None,
    on_step: Callable[[float], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train a candidate, or continue the training in ``folder``.

    Each epoch has its own random seed, derived from ``seed`` and the epoch's number. An
    interrupted training that is continued therefore gives the same result as an uninterrupted one.

    Args:
        candidate: the network; its own values of the recipe replace those of ``recipe``.
        recipe: the hyperparameters. Its pretraining is written to ``folder / "pretraining"``.
        data: the images; the validation split is evaluated after each epoch.
        folder: the folder for curve and checkpoints; created if it is missing.
        seed: seed of initialisation, order and augmentation.
        start: initial weights and buffers by name. A tensor that is missing, or has another shape,
            is initialised at random.
        until: stop after this many epochs; the schedules of the recipe do not change. The next
            call continues.
        device: the device; None for the first GPU, or the CPU if there is none.
        teacher: a module from images (N, C, H, W) to logits (N, classes), for a recipe with a
            distillation; see `ir2search.load_teacher`.
        on_epoch: called after each epoch is saved; the epochs of pretraining count too.
        on_step: called before each step with the number of epochs trained so far, a fraction.
        should_stop: called before each step; True interrupts the training.

    Raises:
        InputError: the recipe has a distillation, and there is no teacher; or the candidate has
            a wrong value of the recipe.
        TrainingDiverged: a loss is not finite.
        Interrupted: ``should_stop`` returned True.
    """
    device = device or pick_device("auto")
    keep_memory()
    trainer = _Trainer(data, seed, device, teacher, on_epoch, on_step, should_stop)
    own = recipe.with_values(dict(candidate.recipe))
    return trainer.train(candidate, own, folder, start, until)


@dataclass(frozen=True)
class _Trainer:
    """The arguments of `train` that are the same for the pretraining and for the training."""

    data: ImageData
    seed: int
    device: torch.device
    teacher: nn.Module | None
    on_epoch: Callable[[EpochResult], None]
    on_step: Callable[[float], None]
    should_stop: Callable[[], bool]

    def train(
        self,
        candidate: Candidate,
        recipe: Recipe,
        folder: Path,
        start: Mapping[str, Tensor] | None,
        until: int | None = None,
    ) -> TrainingResult:
        check_teacher(recipe, self.teacher)
        make_folder(folder)
        epochs_before = 0
        if recipe.pretraining is not None:
            first, first_folder = replace(candidate, weights="real"), folder / PRETRAINING
            self.train(first, recipe.pretraining, first_folder, start)
            start = load_network(first, first_folder / BEST).state_dict()
            epochs_before = recipe.pretraining.total_epochs
        runner = self._runner(candidate, recipe, start)

        def before_step(progress: float) -> None:
            self.on_step(epochs_before + progress)
            if self.should_stop():
                raise Interrupted

        def after_epoch(row: EpochResult) -> None:
            self.on_epoch(replace(row, epoch=epochs_before + row.epoch))

        last = recipe.epochs if until is None else min(until, recipe.epochs)
        return train_epochs(runner, folder, last, self.seed, before_step, after_epoch)

    def _runner(
        self, candidate: Candidate, recipe: Recipe, start: Mapping[str, Tensor] | None
    ) -> EpochRunner:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = build(candidate)
        with kernels_on(1):  # torch's sums depend on the number of threads
            initialise_stem(network, recipe.stem_start, self.data)
        load_fitting(network, start or {})
        check_sizes(network, recipe, self.data.image)
        network = network.to(self.device)
        teacher = None if self.teacher is None else self.teacher.to(self.device)
        optimizer = make_optimizer(recipe, network)
        averaged = moving_average(network, recipe.ema)
        splits = (self.data.train.to(self.device), self.data.validation.to(self.device))
        return EpochRunner(
            candidate, recipe, self.data, *splits, network, optimizer, teacher, averaged
        )


def train_epochs(
    runner: EpochRunner,
    folder: Path,
    last: int,
    seed: int,
    before_step: Callable[[float], None],
    after_epoch: Callable[[EpochResult], None],
) -> TrainingResult:
    """Train until epoch ``last``, from the checkpoint in ``folder`` if there is one.

    Args:
        runner: trains one epoch; its network and optimiser take the values of the checkpoint.
        folder: where checkpoints and curve are written.
        last: number of epochs after which to stop.
        seed: seed of the whole training.
        before_step: called before each step with the number of epochs trained so far.
        after_epoch: called after each epoch is saved.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is of another network.
        TrainingDiverged: a loss is not finite.
    """
    network, optimizer = runner.network, runner.optimizer
    curve = load_progress(folder, network, optimizer, runner.averaged)
    if len(curve) >= last:
        return TrainingResult(tuple(curve))
    with best_threads(network, runner.train.device, runner.trial_step):
        while len(curve) < last:
            validated = runner.recipe.is_validated(len(curve) + 1, last)
            curve.append(runner.run(len(curve), seed, before_step, validated=validated))
            if validated and TrainingResult(tuple(curve)).best is curve[-1]:
                save_network(runner.evaluated, folder / BEST)
            save_progress(folder, network, optimizer, curve, runner.averaged)
            after_epoch(curve[-1])
    return TrainingResult(tuple(curve))


@dataclass(frozen=True)
class EpochRunner:
    """Trains a network for one epoch at a time; everything is on the network's device.

    Attributes:
        candidate: the description of the network.
        recipe: the hyperparameters.
        data: normalises the images.
        train: the training images.
        validation: the images that are evaluated after each epoch.
        network: the network, which each epoch changes.
        optimizer: the optimiser of the network's parameters.
        teacher: the teacher, if the recipe has a distillation.
        averaged: the averaged weights, if the recipe has a moving average.
    """

    candidate: Candidate
    recipe: Recipe
    data: ImageData
    train: Split | StreamedSplit
    validation: Split | StreamedSplit
    network: TappedNetwork
    optimizer: torch.optim.Optimizer
    teacher: nn.Module | None
    averaged: AveragedModel | None = None

    @property
    def evaluated(self) -> TappedNetwork:
        """The network that is evaluated and kept: the averaged one, if there is one."""
        return (
            self.network if self.averaged is None else cast("TappedNetwork", self.averaged.module)
        )

    def run(
        self,
        epoch: int,
        seed: int,
        before_step: Callable[[float], None],
        *,
        validated: bool,
    ) -> EpochResult:
        """Train for one epoch, then evaluate the validation split.

        No step waits for the device: losses are summed there and read at the end of the epoch.

        Args:
            epoch: number of epochs trained so far.
            seed: seed of the whole training.
            before_step: called before each step with the number of epochs trained so far.
            validated: whether to evaluate the validation split.

        Raises:
            TrainingDiverged: the mean loss is not finite, or a logit of a validation image.
        """
        start, recipe = time.perf_counter(), self.recipe
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        draws = random.Random(derive_seed(seed, "draws of epoch", epoch))
        self.network.train()
        sharpen(self.network, epoch / max(1, recipe.epochs - 1))
        steps = max(1, len(self.train) // recipe.batch_size)
        total_loss = torch.zeros((), device=self.train.device)
        total_restricted = torch.zeros_like(total_loss)
        augmentation = recipe.augmentation.in_epoch(epoch, len(self.train), seed)
        batches = self.train.batches(recipe.batch_size, augmentation, generator)
        for step, (images, labels) in enumerate(batches):
            progress = epoch + step / steps
            before_step(progress)
            set_rate(self.optimizer, recipe.rate(progress))
            images = shrunk(self.data.normalise(images), recipe.side(epoch))
            loss, restricted = self.gradients(images, labels, progress, draws)
            self.optimizer.step()
            if recipe.fixed_norms:
                fix_norms(self.network)
            if self.averaged is not None:
                self.averaged.update_parameters(self.network)
            total_loss += loss
            total_restricted += restricted
        mean_loss = float(total_loss) / steps
        if not math.isfinite(mean_loss):
            raise TrainingDiverged(f"the loss of epoch {epoch + 1} is not finite; lower the lr")
        if self.averaged is not None:
            batches = self.train.batches(recipe.batch_size, augmentation, generator)
            self.set_statistics(self.data.normalise(images) for images, _ in batches)
        return EpochResult(
            epoch=epoch + 1,
            loss=mean_loss,
            validation_accuracy=self._validation_accuracy(epoch) if validated else None,
            restricted_share=float(total_restricted) / steps,
            lr=recipe.rate(progress),
            seconds=time.perf_counter() - start,
        )

    def _validation_accuracy(self, epoch: int) -> float:
        try:
            return self.measured()
        except WeightsError as error:
            raise TrainingDiverged(f"after epoch {epoch + 1} {error}; lower the lr") from None

    def measured(self) -> float:
        """The accuracy on the validation split, from 0 to 1."""
        return accuracy(self.evaluated, self.data, self.validation)

    def gradients(
        self, images: Tensor, labels: Tensor, progress: float, draws: random.Random
    ) -> tuple[Tensor, Tensor | float]:
        """Compute the gradients of one step.

        Args:
            images: (N, C, H, W), normalised.
            labels: (N,) int64.
            progress: number of epochs trained so far, a fraction.
            draws: random numbers of the epoch, apart from those of order and augmentation.

        Returns:
            The loss, and the share of pixels that the restriction set to 0.
        """
        threshold = self.recipe.threshold(self.candidate.threshold, progress)
        loss, restricted = self.loss(images, labels, threshold)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return loss.detach(), restricted

    def set_statistics(self, batches: Iterable[Tensor]) -> None:
        """Compute the BatchNorms' statistics of the averaged weights on normalised images."""
        count = max(1, STATISTICS_IMAGES // self.recipe.batch_size)
        calibrate(self.evaluated, islice(batches, count))

    def trial_step(self) -> None:
        """Do the work of one step on a copy of the network, to measure its time."""
        count = min(self.recipe.batch_size, len(self.train))
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(count, *self.train.shape, generator=generator)
        self.trial_loss(images, torch.zeros(count, dtype=torch.int64)).backward()

    def trial_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of a copy of the network, for `trial_step`."""
        copied = replace(self, network=copy.deepcopy(self.network).train())
        return copied.loss(images, labels, self.candidate.threshold)[0]

    def loss(
        self, images: Tensor, labels: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor | float]:
        """Compute the loss of a batch, and the share of pixels that the restriction set to 0.

        See `step_loss`; the teacher sees the original images only.

        Args:
            images: (N, C, H, W), normalised.
            labels: (N,) int64.
            threshold: threshold of the restriction; 0 is off.
        """
        images = channels_last(images)
        criterion = criterion_of(self.recipe, labels, self._teacher_logits(images))
        how = self.candidate.normalization, self._statistics
        found = step_loss(self.network, images, criterion, threshold, *how)
        return found.loss, found.restricted

    @cached_property
    def _statistics(self) -> RunningStatistics:
        return RunningStatistics(self.network)

    @torch.no_grad()
    def _teacher_logits(self, images: Tensor) -> Tensor | None:
        if self.recipe.distillation is None or self.teacher is None:
            return None
        logits: Tensor = self.teacher(images)
        return logits


def check_teacher(recipe: Recipe, teacher: nn.Module | None) -> None:
    """Raise InputError if a recipe has a distillation, but no teacher is given."""
    if recipe.distillation is not None and teacher is None:
        raise InputError(
            f"teacher: the recipe distils from {recipe.distillation.teacher!r}, but no teacher is "
            "given; load it with ir2search.load_teacher"
        )
