"""One training after the other, in this process."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ir2search.search.executors.base import ExecutorSettings
from ir2search.search.executors.job import JobResult, Train, TrainingJob, run_job
from ir2search.training import train


class InlineExecutor:
    """Trains in this process, one job at a time; see `Executor`.

    Args:
        settings: its first device is used.
        train: does the training; tests pass a function that replays a learning curve.
    """

    def __init__(self, settings: ExecutorSettings, train: Train = train) -> None:
        self._settings, self._train = settings, train
        self._jobs: list[TrainingJob] = []

    def capacity(self) -> int:
        return 1

    def submit(self, job: TrainingJob) -> None:
        self._jobs.append(job)

    def wait(self) -> list[JobResult]:
        job, given = self._jobs.pop(0), self._settings
        device = given.devices[0]
        return [run_job(job, given.context, device, given.observer, given.should_stop, self._train)]

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()  # nothing runs between two calls of `wait`

    def interrupt(self) -> None:
        """Do nothing: nothing runs between two calls of `wait`."""

    def close(self) -> None:
        """Do nothing: nothing is held."""
