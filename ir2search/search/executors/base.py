"""What an executor is: it trains candidates, one or several at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from ir2search.search.executors.context import TrainingContext
from ir2search.search.executors.job import JobResult, TrainingJob
from ir2search.search.observer import RunObserver
from ir2search.study.schema import Study


class Executor(Protocol):
    """Runs training jobs, up to `capacity` of them at a time.

    The driver calls all methods in one thread: `submit` while there is room, then `wait`.
    """

    def capacity(self) -> int:
        """Number of jobs that can run at the same time; it may change while a study runs."""

    def submit(self, job: TrainingJob) -> None:
        """Start a job."""

    def wait(self) -> list[JobResult]:
        """Wait a moment for jobs to end, and return the results of those that have ended.

        The observer is told of new epochs meanwhile.

        Raises:
            OSError: a disk is full or read-only.
            InputError: something is wrong that would make every job fail.
        """

    def paused(self) -> AbstractContextManager[None]:
        """A context in which no job uses this machine, if the executor can pause its jobs."""

    def interrupt(self) -> None:
        """Ask all jobs to stop. `wait` then returns them without a result."""

    def close(self) -> None:
        """Release everything, and give up jobs that still run."""


@dataclass(frozen=True)
class ExecutorSettings:
    """What an executor is made from, and what the driver that uses it works with.

    Attributes:
        study: the study whose candidates are trained.
        folder: the run's folder.
        context: the recipe, the data and the teacher, as this process has opened them.
        devices: one device for each training that runs at the same time.
        observer: told of steps and epochs.
        should_stop: returns True once the user has asked to stop.
        parallel: the largest number of trainings without a result, if results are returned in the
            order of submission; None if results are returned as they come.
    """

    study: Study
    folder: Path
    context: TrainingContext
    devices: list[torch.device]
    observer: RunObserver
    should_stop: Callable[[], bool]
    parallel: int | None = None


ExecutorFactory = Callable[[ExecutorSettings], Executor]
