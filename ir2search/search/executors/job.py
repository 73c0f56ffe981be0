"""One training as a value: what an executor is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from ir2search.data import ImageData, Split, StreamedSplit
from ir2search.errors import CheckpointError, InputError, StudyError, TrainingDiverged
from ir2search.extensions import UserModule, load_modules
from ir2search.files import locked
from ir2search.runs.backbones import SharedBackbone
from ir2search.runs.layout import BEST
from ir2search.space import Candidate
from ir2search.training import (
    EpochResult,
    Interrupted,
    Recipe,
    TrainingResult,
    accuracy,
    load_network,
    train,
)
from ir2search.training.checkpoint import discard_progress

OUT_OF_MEMORY = (RuntimeError, MemoryError)  # torch says so by the first, and more besides
PATIENCE = 120  # seconds for a worker whose driver died to notice it and leave a trial's folder


@dataclass(frozen=True)
class TrainingJob:
    """A candidate to be trained, or to be trained further.

    Attributes:
        number: of its trial.
        candidate: the network.
        folder: where its checkpoints are.
        seed: of its training.
        start: what its training starts from; from scratch where None.
        until: epochs after which it stops; the recipe's where None.
        tested: whether the trained network is then measured on the test images.
    """

    number: int
    candidate: Candidate
    folder: Path
    seed: int
    start: SharedBackbone | None = None
    until: int | None = None
    tested: bool = False


@dataclass(frozen=True)
class JobResult:
    """What became of a job: a result, or why it failed; neither where it was interrupted.

    Attributes:
        job: what was to be done.
        result: of the training.
        test_accuracy: where it was asked for.
        failure: why there is no result.
        remark: what went wrong on the way and was mended.
    """

    job: TrainingJob
    result: TrainingResult | None = None
    test_accuracy: float | None = None
    failure: str | None = None
    remark: str | None = None


@dataclass
class TrainingContext:
    """What all jobs of a study have in common."""

    recipe: Recipe
    data: ImageData
    teacher: nn.Module | None
    modules: tuple[UserModule, ...] = ()  # that make known what networks are built of

    @cached_property
    def test(self) -> Split | StreamedSplit:
        """The test images, read when first asked for."""
        return self.data.read_test()


class Listener(Protocol):
    """Told what happens in a job, by its number."""

    def on_step(self, number: int, progress: float) -> None:
        """A training step begins."""

    def on_epoch(self, number: int, result: EpochResult) -> None:
        """An epoch is on disk."""


class SilentListener:
    """A listener that says nothing, for processes whose driver reads the curves."""

    def on_step(self, number: int, progress: float) -> None:
        pass

    def on_epoch(self, number: int, result: EpochResult) -> None:
        pass


class Executor(Protocol):
    """Does jobs, as many at once as it has room for."""

    def capacity(self) -> int:
        """How many jobs it can do at once, now."""

    def submit(self, job: TrainingJob) -> None:
        """Take a job."""

    def wait(self) -> list[JobResult]:
        """Wait a moment for jobs to end, and give those that did; the listener is told meanwhile.

        Raises:
            OSError: a disk is full or read-only.
            InputError: something that was given is wrong for every job.
        """

    def paused(self) -> AbstractContextManager[None]:
        """Within it, jobs on this machine wait, as far as the executor can have them do so."""

    def interrupt(self) -> None:
        """Ask all jobs to stop; each ends with its last whole epoch on disk."""

    def close(self) -> None:
        """End the executor; jobs still at context are given up."""


def run_job(
    job: TrainingJob,
    context: TrainingContext,
    device: torch.device,
    listener: Listener,
    should_stop: Callable[[], bool],
) -> JobResult:
    """Do a job in this process; where its checkpoint is damaged, from the start.

    Raises:
        OSError: a disk is full or read-only.
    """
    load_modules(context.modules)  # on a cluster's node nobody has yet
    try:
        with locked(job.folder, PATIENCE):
            try:
                return _perform(job, context, device, listener, should_stop)
            except CheckpointError as error:
                discard_progress(job.folder)
                again = _perform(job, context, device, listener, should_stop)
                return replace(again, remark=f"trained again from the start, as {error}")
    except Interrupted:
        return JobResult(job)
    except TrainingDiverged as error:
        return JobResult(job, failure=f"diverged: {error}")
    except (*OUT_OF_MEMORY, StudyError) as error:
        return JobResult(job, failure=failure_reason(error))


def failure_reason(error: Exception) -> str:
    """An error that ends one trial, in words."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    wanting = ("memory", "overflow")
    if isinstance(error, MemoryError) or any(word in text.lower() for word in wanting):
        return f"out of memory: {text}"
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _perform(
    job: TrainingJob,
    context: TrainingContext,
    device: torch.device,
    listener: Listener,
    should_stop: Callable[[], bool],
) -> JobResult:
    start = None
    if job.start is not None:
        start = job.start.weights(
            context.data,
            device=device,
            teacher=context.teacher,
            on_step=lambda progress: listener.on_step(job.number, 0.0),
            should_stop=should_stop,
        )
    result = train(
        job.candidate,
        context.recipe,
        context.data,
        job.folder,
        seed=job.seed,
        start=start,
        until=job.until,
        device=device,
        teacher=context.teacher,
        on_epoch=lambda epoch: listener.on_epoch(job.number, epoch),
        on_step=lambda progress: listener.on_step(job.number, progress),
        should_stop=should_stop,
    )
    if not job.tested:
        return JobResult(job, result)
    network = load_network(job.candidate, job.folder / BEST).to(device)
    return JobResult(job, result, accuracy(network, context.data, context.test.to(device)))
