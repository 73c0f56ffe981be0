"""Results in the order in which trainings were submitted, on any number of workers."""

from __future__ import annotations

from collections import deque
from contextlib import AbstractContextManager
from pathlib import Path

from ir2search.search.executors.base import Executor
from ir2search.search.executors.job import JobResult, TrainingJob


class OrderedExecutor:
    """Returns one result at a time, always that of the earliest submitted job; see `Executor`.

    A driver's decisions depend on the results that it has. With this executor it has the same
    results at each decision, however long trainings take and however many run at the same time.

    Args:
        executor: trains.
        most: the largest number of jobs that are submitted and have not returned.
    """

    def __init__(self, executor: Executor, most: int) -> None:
        self._executor, self._most = executor, most
        self._submitted: deque[TrainingJob] = deque()  # those that have not returned, in order
        self._queued: deque[TrainingJob] = deque()  # those that `executor` does not have yet
        self._training = 0  # number of jobs that `executor` has
        self._results: dict[Path, JobResult] = {}  # by the folder of the training
        self._is_stopping = False

    def capacity(self) -> int:
        return self._most

    def submit(self, job: TrainingJob) -> None:
        self._submitted.append(job)
        self._queued.append(job)
        self._start()

    def wait(self) -> list[JobResult]:
        first = self._submitted[0].folder
        if first not in self._results:
            self._receive()
        if self._is_stopping:
            return self._stopped()
        if first not in self._results:
            return []
        self._submitted.popleft()
        return [self._results.pop(first)]

    def paused(self) -> AbstractContextManager[None]:
        return self._executor.paused()

    def interrupt(self) -> None:
        self._is_stopping = True
        self._executor.interrupt()

    def close(self) -> None:
        self._executor.close()

    def _start(self) -> None:
        while self._queued and self._training < self._executor.capacity():
            self._executor.submit(self._queued.popleft())
            self._training += 1

    def _receive(self) -> None:
        results = self._executor.wait() if self._training else []
        self._training -= len(results)
        self._results |= {result.job.folder: result for result in results}
        if not self._is_stopping:
            self._start()

    def _stopped(self) -> list[JobResult]:
        """End all jobs that do not run now, without their results.

        A result is dropped too, because one before it may be missing. The next session gets it at
        once, from the checkpoint.
        """
        ended = [*self._results, *(job.folder for job in self._queued)]
        stopped = [job for job in self._submitted if job.folder in ended]
        self._submitted = deque(job for job in self._submitted if job.folder not in ended)
        self._results.clear()
        self._queued.clear()
        return [JobResult(job) for job in stopped]
