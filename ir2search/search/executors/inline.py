"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from ir2search.search.executors.job import (
    JobResult,
    Listener,
    TrainingContext,
    TrainingJob,
    run_job,
)


class InlineExecutor:
    """The executor of one worker; see `Executor`."""

    def __init__(
        self,
        context: TrainingContext,
        device: torch.device,
        listener: Listener,
        should_stop: Callable[[], bool],
    ) -> None:
        self._context, self._device, self._listener = context, device, listener
        self._should_stop = should_stop
        self._jobs: list[TrainingJob] = []

    def capacity(self) -> int:
        return 1

    def submit(self, job: TrainingJob) -> None:
        self._jobs.append(job)

    def wait(self) -> list[JobResult]:
        job = self._jobs.pop()
        return [run_job(job, self._context, self._device, self._listener, self._should_stop)]

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()  # nothing is at work between two calls of `wait`

    def interrupt(self) -> None:
        """Nothing is at work between two calls of `wait`."""

    def close(self) -> None:
        """Nothing is held."""
