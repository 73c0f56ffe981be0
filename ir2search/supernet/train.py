"""Train the shared weights of a space: the whole step on one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from ir2search.data import ImageData
from ir2search.errors import CandidateError, StudyError
from ir2search.nn import keep_memory, kernels_on, sharpen
from ir2search.space import Candidate, SearchSpace
from ir2search.supernet.calibration import calibrated_subnet, calibration_batches
from ir2search.supernet.copies import FlatParameters, SubnetCopies
from ir2search.supernet.files import note_origin
from ir2search.supernet.supernet import Supernet
from ir2search.training.averaging import moving_average
from ir2search.training.device import channels_last, pick_device
from ir2search.training.distillation import distillation_loss
from ir2search.training.evaluation import accuracy
from ir2search.training.initialisation import initialise_stem
from ir2search.training.loop import EpochRunner, Interrupted, check_teacher, train_epochs
from ir2search.training.optimizers import make_optimizer
from ir2search.training.recipe import Recipe
from ir2search.training.results import EpochResult, TrainingResult
from ir2search.training.sizes import check_sizes
from ir2search.training.step import Criterion, StepLoss, criterion_of, step_loss

ATTEMPTS = 1000  # draws of a point of the space until it is a network


@dataclass(frozen=True, kw_only=True)
class SupernetSettings:
    """How a supernet is trained, apart from the recipe.

    Attributes:
        random: networks drawn at random in each step, besides the largest and the smallest.
        calibration: training images that give the BatchNorms' statistics of a subnet.
    """

    random: int = 2
    calibration: int = 1024


def train_supernet(
    space: SearchSpace,
    recipe: Recipe,
    data: ImageData,
    folder: Path,
    *,
    seed: int,
    settings: SupernetSettings = SupernetSettings(),
    device: torch.device | None = None,
    teacher: nn.Module | None = None,
    on_epoch: Callable[[EpochResult], None] = lambda result: None,
    on_step: Callable[[float], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train the shared weights of a space, or continue the training in ``folder``.

    Each step trains the largest network on the labels, and then the smallest and some random ones
    on the largest one's logits (sandwich rule and in-place distillation: Yu et al., "BigNAS", ECCV
    2020). The gradient is the mean over these networks. Each of them draws its threshold of the
    restriction from the space. An interrupted training that is continued gives the same result as
    an uninterrupted one.

    Args:
        space: with the shape of the images and the number of classes.
        recipe: the hyperparameters; the teacher of a distillation teaches the largest network.
        data: the images. After each epoch the largest and the smallest network are evaluated on
            the validation split; the mean of their accuracies is that of the epoch.
        folder: the folder for curve and checkpoints; created if it is missing.
        seed: seed of initialisation, order, augmentation and of the networks that are drawn.
        settings: how many networks a step trains, and how they are evaluated.
        device: the device; None for the first GPU, or the CPU if there is none.
        teacher: as for `ir2search.train`.
        on_epoch: called after each epoch is saved.
        on_step: called before each step with the number of epochs trained so far, a fraction.
        should_stop: called before each step; True interrupts the training.

    Raises:
        SpaceError: the networks of the space cannot share their weights.
        StudyError: the recipe has two stages, or there are too few images to calibrate.
        RunError: the folder has a supernet of another space or other images.
        TrainingDiverged: a loss is not finite.
        Interrupted: ``should_stop`` returned True.
    """
    if recipe.pretraining is not None:
        raise StudyError("[supernet] needs a recipe of one stage; leave its pretraining out")
    check_teacher(recipe, teacher)
    keep_memory()
    device = device or pick_device("auto")
    runner = _runner(space, recipe, data, seed, settings, device, teacher)
    note_origin(folder, space, data)

    def before_step(progress: float) -> None:
        on_step(progress)
        if should_stop():
            raise Interrupted

    return train_epochs(runner, folder, recipe.epochs, seed, before_step, on_epoch)


def _runner(
    space: SearchSpace,
    recipe: Recipe,
    data: ImageData,
    seed: int,
    settings: SupernetSettings,
    device: torch.device,
    teacher: nn.Module | None,
) -> SupernetRunner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        supernet = Supernet(space)
    network = supernet.network
    with kernels_on(1):  # torch's sums depend on the number of threads
        initialise_stem(network, recipe.stem_start, data)
    check_sizes(supernet.subnet(supernet.largest), recipe, data.image)
    network.to(device)
    shared = FlatParameters(network)  # before the optimiser, which keeps the parameters' memory
    return SupernetRunner(
        candidate=supernet.largest,
        recipe=recipe,
        data=data,
        train=data.train.to(device),
        validation=data.validation.to(device),
        network=network,
        optimizer=make_optimizer(recipe, network),
        teacher=None if teacher is None else teacher.to(device),
        averaged=moving_average(network, recipe.ema),
        supernet=supernet,
        shared=shared,
        networks=SubnetCopies(supernet),
        random=settings.random,
        calibration=calibration_batches(data, settings.calibration, recipe.augmentation, device),
    )


@dataclass(frozen=True, kw_only=True)
class SupernetRunner(EpochRunner):
    """Trains the shared weights for one epoch at a time.

    Attributes:
        supernet: the shared weights; ``network`` has the layers.
        shared: the parameters of ``network``.
        networks: the networks of the space.
        random: networks drawn at random in each step.
        calibration: normalised training images that give the statistics of BatchNorms.
    """

    supernet: Supernet
    shared: FlatParameters
    networks: SubnetCopies
    random: int
    calibration: list[Tensor]

    def gradients(
        self, images: Tensor, labels: Tensor, progress: float, draws: Random
    ) -> tuple[Tensor, Tensor | float]:
        """Compute the mean gradient over the largest, the smallest and some random networks.

        Returns:
            Of the largest network: the loss, and the share of pixels that the restriction set to 0.
        """
        self.shared.gradients.zero_()
        images = channels_last(images)
        criterion = criterion_of(self.recipe, labels, self._teacher_logits(images))
        first, *others = self._drawn(draws)
        largest = self._train(first, images, criterion, progress)
        in_place = partial(distillation_loss, teacher_logits=largest.logits)
        for candidate in others:
            self._train(candidate, images, in_place, progress)
        self.shared.gradients.div_(1 + len(others))
        return largest.loss, largest.restricted

    def _train(
        self, candidate: Candidate, images: Tensor, criterion: Criterion, progress: float
    ) -> StepLoss:
        """Add a network's gradient to that of the shared weights; gives its loss, detached."""
        recipe, copy = self.recipe, self.networks.get(candidate)
        sharpen(copy.network, int(progress) / max(1, recipe.epochs - 1))
        copy.load_weights(self.shared)
        threshold = recipe.threshold(candidate.threshold, progress)
        how = candidate.normalization, copy.statistics
        found = step_loss(copy.network, images, criterion, threshold, *how)
        found.loss.backward()
        copy.add_gradients(self.shared)
        return StepLoss(found.loss.detach(), found.restricted, found.logits.detach())

    def _drawn(self, draws: Random) -> Iterator[Candidate]:
        """The networks of one step, the largest first."""
        for end in (self.supernet.largest, self.supernet.smallest):
            yield replace(end, threshold=self._random(draws).threshold)
        for _ in range(self.random):
            yield self._random(draws)

    def _random(self, draws: Random) -> Candidate:
        """A random candidate of the space."""
        space = self.supernet.space
        for _ in range(ATTEMPTS):
            try:
                return space.candidate(next(space.points(draws, 1)))
            except CandidateError:
                continue
        return self.supernet.largest

    def set_statistics(self, batches: object) -> None:
        """Do nothing: each subnet gets its own statistics when it is evaluated."""

    def trial_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of the largest network, which has the longest step."""
        copy = self.networks.get(self.supernet.largest)
        copy.load_weights(self.shared)
        criterion = criterion_of(self.recipe, labels, None)
        how = self.candidate.threshold, self.candidate.normalization, copy.statistics
        return step_loss(copy.network, images, criterion, *how).loss

    def accuracy_of(self, candidate: Candidate) -> float:
        """Validation accuracy of a network with its part of the weights, from 0 to 1."""
        supernet = self.supernet.with_network(self.evaluated)
        network = calibrated_subnet(supernet, candidate, self.calibration)
        return accuracy(network, self.data, self.validation)

    def measured(self) -> float:
        """Mean of the largest and the smallest network's validation accuracies."""
        ends = self.supernet.largest, self.supernet.smallest
        return sum(map(self.accuracy_of, ends)) / len(ends)
