"""Train one candidate: the whole loop on one page."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ir2search import text
from ir2search.data import ImageData, Split, StreamedSplit
from ir2search.errors import InputError, TrainingDiverged
from ir2search.models.network import TappedNetwork
from ir2search.nn import keep_memory, restrict, sharpen
from ir2search.space import Candidate, build
from ir2search.training.checkpoint import (
    BEST,
    load_network,
    load_progress,
    save_network,
    save_progress,
    take_over,
)
from ir2search.training.distillation import load_teacher, soft_cross_entropy
from ir2search.training.recipe import Recipe
from ir2search.training.statistics import RunningStatistics

KINDS = ("cpu", "cuda", "mps", "xpu")  # of devices, for names that are near


class Interrupted(Exception):
    """Training was asked to stop; its last whole epoch is on disk."""


@dataclass(frozen=True)
class EpochResult:
    """One point of a learning curve.

    Attributes:
        epoch: epochs trained, from 1.
        loss: mean over the training steps.
        validation_accuracy: top-1, from 0 to 1.
        restricted_share: mean share of pixels that restriction blanked; 0 where it is off.
        lr: learning rate of the last step.
        seconds: of the epoch, validation and checkpoint included.
    """

    epoch: int
    loss: float
    validation_accuracy: float
    restricted_share: float
    lr: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """A finished training: its curve, and its best epoch, whose weights are kept."""

    curve: tuple[EpochResult, ...]

    @property
    def best(self) -> EpochResult:
        """The epoch of highest validation accuracy, the later of equals."""
        return max(self.curve, key=lambda row: (row.validation_accuracy, row.epoch))

    @property
    def seconds(self) -> float:
        """Time spent training."""
        return sum(row.seconds for row in self.curve)


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
    """Train a candidate, or go on from where ``folder`` stands.

    Every epoch draws its random numbers from ``seed`` and its own number, so that an interrupted
    training ends as an uninterrupted one does.

    Args:
        candidate: the network.
        recipe: how.
        data: its train split is learned, its validation split measured after each epoch.
        folder: where the curve and the checkpoints are kept; made where needed. The recipe's
            pretraining, if it has one, goes to the folder ``pretraining`` in it.
        seed: of initialisation, order and augmentation.
        start: weights and buffers by name that it starts from; what they lack, or have in another
            shape, is initialised as ever.
        until: stop after so many epochs of the recipe's, whose schedules stay as they are, and go
            on with the next call.
        device: where; the first GPU, or the CPU, where left out.
        teacher: any module from images (N, C, H, W) to logits (N, classes), where the recipe's
            distillation is not to load its own.
        on_epoch: called after each epoch, once it is on disk; epochs of pretraining count.
        on_step: called before each step with the epochs trained so far, in fractions.
        should_stop: asked before each step.

    Raises:
        TrainingDiverged: a loss was not finite.
        Interrupted: ``should_stop`` said so.
        WeightsError: the teacher's weights cannot be read.
    """
    device = device or pick_device("auto")
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(candidate).to(device)
    if start is not None:
        take_over(network, start)
    keep_memory()
    before = 0
    if recipe.pretraining is not None:
        first, place = replace(candidate, weights="real"), folder / "pretraining"
        train(
            first,
            recipe.pretraining,
            data,
            place,
            seed=seed,
            start=start,
            device=device,
            teacher=teacher,
            on_epoch=on_epoch,
            on_step=on_step,
            should_stop=should_stop,
        )
        network.load_state_dict(load_network(first, place / BEST).state_dict())
        before = recipe.pretraining.total_epochs
    if recipe.distillation is not None and teacher is None:
        teacher = load_teacher(recipe.distillation, candidate.image, candidate.classes)
    optimizer = recipe.make_optimizer(network)
    curve = [EpochResult(**row) for row in load_progress(folder, network, optimizer)]
    split, validation = data.train.to(device), data.validation.to(device)
    lesson = Lesson(candidate, recipe, data, split, teacher.to(device) if teacher else None)

    def pause(progress: float) -> None:
        on_step(before + progress)
        if should_stop():
            raise Interrupted

    last = recipe.epochs if until is None else min(until, recipe.epochs)
    while len(curve) < last:
        epoch, began = len(curve), time.perf_counter()
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        means = lesson.epoch(network, optimizer, epoch, generator, pause)
        score = accuracy(network, data, validation)
        seconds = time.perf_counter() - began
        curve.append(EpochResult(epoch + 1, validation_accuracy=score, seconds=seconds, **means))
        if TrainingResult(tuple(curve)).best.epoch == epoch + 1:
            save_network(network, folder / BEST)
        save_progress(folder, network, optimizer, [asdict(row) for row in curve])
        on_epoch(replace(curve[-1], epoch=before + epoch + 1))
    return TrainingResult(tuple(curve))


@dataclass(frozen=True)
class Lesson:
    """What every step of a training has in common."""

    candidate: Candidate
    recipe: Recipe
    data: ImageData
    split: Split | StreamedSplit
    teacher: nn.Module | None

    def epoch(
        self,
        network: TappedNetwork,
        optimizer: torch.optim.Optimizer,
        epoch: int,
        generator: torch.Generator,
        pause: Callable[[float], None],
    ) -> dict[str, float]:
        """One pass over the split; gives mean loss, mean restricted share and the last rate.

        ``pause`` is called before each step.
        """
        recipe, split = self.recipe, self.split
        network.train()
        sharpen(network, epoch / max(1, recipe.epochs - 1))
        steps = max(1, len(split) // recipe.batch_size)
        total_loss = torch.zeros((), device=split.device)
        total_restricted = torch.zeros_like(total_loss)
        for step, (images, labels) in enumerate(
            split.batches(recipe.batch_size, recipe.augmentation, generator)
        ):
            progress = epoch + step / steps
            pause(progress)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(progress)
            threshold = recipe.threshold(self.candidate.threshold, progress)
            loss, restricted = self.loss(network, self.data.normalise(images), labels, threshold)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total_loss += loss.detach()
            total_restricted += restricted
        mean_loss = float(total_loss) / steps
        if not math.isfinite(mean_loss):
            raise TrainingDiverged(f"the loss of epoch {epoch + 1} is not finite; lower the lr")
        share = float(total_restricted) / steps
        return {"loss": mean_loss, "restricted_share": share, "lr": recipe.rate(progress)}

    def loss(
        self, network: TappedNetwork, images: Tensor, labels: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor | float]:
        """The loss of a batch and the share of its pixels that were restricted.

        With a threshold it is the mean of the losses on the original and the restricted images
        ("IR²Net", arXiv 2210.02637, section 3.2), both with the teacher's view of the original.
        Where restriction blanks nothing in the whole batch, the second pass would repeat the first
        one and is not made.
        """
        before = RunningStatistics(network)
        logits, features = network.logits_and_features(images)
        loss = self.criterion(images, labels)
        if threshold == 0:
            return loss(logits), 0.0
        restricted = restrict(images, features, threshold, self.candidate.normalization)
        if torch.equal(restricted, images):
            before.repeat()
            return loss(logits), 0.0
        share = (restricted == 0).all(dim=1).float().mean()
        return (loss(logits) + loss(network(restricted))) / 2, share

    def criterion(self, images: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """The loss of logits for these images and labels, with or without a teacher."""

        def hard(logits: Tensor) -> Tensor:
            smoothing = self.recipe.label_smoothing
            return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

        distillation = self.recipe.distillation
        if distillation is None or self.teacher is None:
            return hard
        with torch.no_grad():
            wisdom = self.teacher(images)

        def taught(logits: Tensor) -> Tensor:
            soft = soft_cross_entropy(logits, wisdom, distillation.temperature)
            return distillation.share * soft + (1 - distillation.share) * hard(logits)

        return taught


def accuracy(network: TappedNetwork, data: ImageData, split: Split | StreamedSplit) -> float:
    """Top-1 accuracy on a split that lies where the network does, from 0 to 1."""
    return topk_accuracy(network, data, split, (1,))[0]


@torch.no_grad()
def topk_accuracy(
    network: TappedNetwork,
    data: ImageData,
    split: Split | StreamedSplit,
    counts: Sequence[int],
) -> list[float]:
    """Share of a split whose right class is among the k best, for each k of ``counts``."""
    network.eval()
    most = min(max(counts), data.classes)
    hits = torch.zeros(most, dtype=torch.int64, device=split.device)
    for images, labels in split.evaluation_batches():
        best = network(data.normalise(images)).topk(most, dim=1).indices
        hits += (best == labels[:, None]).sum(dim=0)
    return [int(hits[:count].sum()) / len(split) for count in counts]


def pick_device(name: str) -> torch.device:
    """The device of a name as people give it; ``"auto"`` is the first GPU, or else the CPU.

    Raises:
        InputError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        kind = name.split(":")[0]
        if kind in KINDS:
            reason, fix = str(error).splitlines()[0], "; try cpu"
        else:  # torch would list all it ever knew
            reason, fix = "there is no such device", text.meant(kind, KINDS) or "; try cpu"
        raise InputError(f"--device {name}: not to be had here ({reason}){fix}") from None
    return device
