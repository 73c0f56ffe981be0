"""One training as a value: what an executor is given, what it returns, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ir2search.errors import (
    CheckpointError,
    InputError,
    RunError,
    StudyError,
    TrainingDiverged,
    WeightsError,
    is_out_of_memory,
)
from ir2search.extensions import load_modules
from ir2search.files import locked, protect
from ir2search.runs.backbones import SharedBackbone
from ir2search.runs.layout import BEST
from ir2search.runs.supernets import RunSupernet
from ir2search.search.executors.context import TrainingContext
from ir2search.search.failures import failure_reason, full_traceback, is_of_machine
from ir2search.search.observer import RunObserver
from ir2search.space import Candidate
from ir2search.training import (
    Interrupted,
    TrainingResult,
    accuracy,
    load_network,
    train,
)
from ir2search.training.checkpoint import discard_progress

ATTEMPTS = 3  # a training that ends with an unexpected error is tried this many times
LOCK_TIMEOUT = 120  # seconds in which a worker whose driver was killed unlocks its trial's folder

Train = Callable[..., TrainingResult]  # with the arguments of `ir2search.train`


@dataclass(frozen=True)
class TrainingJob:
    """A candidate to train, or to train further.

    Attributes:
        number: the trial's number.
        candidate: the network.
        folder: where its checkpoints are.
        seed: the seed of its training.
        start: the shared backbone that the training starts from; from scratch if None.
        until: the epoch to stop after; the recipe's last one if None.
        tested: whether to measure the trained network on the test images.
        supernet: the weights that the network takes its own from.
        finetune: epochs of a training from these weights; None for no training.
    """

    number: int
    candidate: Candidate
    folder: Path
    seed: int
    start: SharedBackbone | None = None
    until: int | None = None
    tested: bool = False
    supernet: RunSupernet | None = None
    finetune: int | None = None


@dataclass(frozen=True)
class JobResult:
    """How a job ended: with a result, with a failure, or with neither if it was interrupted.

    Attributes:
        job: the job.
        result: the result of the training.
        test_accuracy: accuracy on the test images from 0 to 1, if the job asks for it.
        failure: one line that says why there is no result.
        traceback: the traceback of the error behind the failure, if there is one.
        remark: what went wrong during the training and was repaired.
    """

    job: TrainingJob
    result: TrainingResult | None = None
    test_accuracy: float | None = None
    failure: str | None = None
    traceback: str | None = None
    remark: str | None = None


def run_job(
    job: TrainingJob,
    context: TrainingContext,
    device: torch.device,
    observer: RunObserver,
    should_stop: Callable[[], bool],
    train: Train = train,
) -> JobResult:
    """Run a job in this process. If its checkpoint is damaged, train again from the start.

    An error in the training of this candidate is a failed job, not an exception. An unexpected
    error may have another cause, so the training is tried again from its last checkpoint. The
    observer is told of steps and epochs, and ``should_stop`` is called before each step.

    Raises:
        OSError: a disk is full or read-only.
        InputError: something is wrong that would make every job fail.
        RunError: this machine failed `ATTEMPTS` times.
    """
    load_modules(context.modules)  # a node of a cluster has not loaded them yet
    once = partial(_run, job, context, device, observer, should_stop, train)
    failed, is_machine = JobResult(job), False
    for _ in range(ATTEMPTS):
        try:
            result = _attempt(job, once)
            if failed.failure is None:
                return result
            return replace(result, remark=f"trained further after {failed.failure}")
        except (OSError, InputError):
            raise
        except Exception as error:  # one bad candidate does not end the study
            if should_stop():  # the same signal may have ended the processes that load images
                return JobResult(job)
            failed, is_machine = _failed(job, error), is_of_machine(error)
            if is_out_of_memory(error):
                break
    if is_machine:
        raise RunError(
            f"{job.folder}: {failed.failure}; solve that and run the same command again to continue"
        )
    return failed


def _attempt(job: TrainingJob, once: Callable[[], JobResult]) -> JobResult:
    """Run a job by ``once``; an error that the candidate causes is a failed job."""
    try:
        protect(job.folder)
        with locked(job.folder, LOCK_TIMEOUT):
            try:
                return once()
            except CheckpointError as error:  # damaged: train again from the start
                discard_progress(job.folder, error)
                return replace(once(), remark=f"trained again from the start: {error}")
    except Interrupted:
        return JobResult(job)
    except TrainingDiverged as error:
        return JobResult(job, failure=f"diverged: {error}")
    except (StudyError, WeightsError) as error:
        return _failed(job, error)


def _failed(job: TrainingJob, error: Exception) -> JobResult:
    return JobResult(job, failure=failure_reason(error), traceback=full_traceback(error))


def _run(
    job: TrainingJob,
    context: TrainingContext,
    device: torch.device,
    observer: RunObserver,
    should_stop: Callable[[], bool],
    train: Train,
) -> JobResult:
    recipe, start = context.recipe, None
    if job.supernet is not None:
        opened = context.supernet(job.supernet, device)
        if job.finetune is None:
            return JobResult(job, opened.inherit(job.candidate, job.folder))
        recipe = recipe.for_finetuning(job.finetune)
        start = opened.network(job.candidate).state_dict()
    if job.start is not None:
        start = job.start.weights(
            context.data,
            device=device,
            teacher=context.teacher,
            on_step=lambda progress: observer.on_step(job.number, 0.0),
            should_stop=should_stop,
        )
    result = train(
        job.candidate,
        recipe,
        context.data,
        job.folder,
        seed=job.seed,
        start=start,
        until=job.until,
        device=device,
        teacher=context.teacher,
        on_epoch=lambda epoch: observer.on_epoch(job.number, epoch),
        on_step=lambda progress: observer.on_step(job.number, progress),
        should_stop=should_stop,
    )
    if not job.tested:
        return JobResult(job, result)
    network = load_network(job.candidate, job.folder / BEST).to(device)
    return JobResult(job, result, accuracy(network, context.data, context.test.to(device)))
