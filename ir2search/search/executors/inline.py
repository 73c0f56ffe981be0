"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from ir2search.search.executors.job import Job, Listener, Outcome, Work, perform


class Inline:
    """The engine of one worker; see `Engine`."""

    def __init__(
        self,
        work: Work,
        device: torch.device,
        listener: Listener,
        should_stop: Callable[[], bool],
    ) -> None:
        self._work, self._device, self._listener = work, device, listener
        self._should_stop = should_stop
        self._jobs: list[Job] = []

    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def wait(self) -> list[Outcome]:
        job = self._jobs.pop()
        return [perform(job, self._work, self._device, self._listener, self._should_stop)]

    def quiet(self) -> AbstractContextManager[None]:
        return nullcontext()  # nothing is at work between two calls of `wait`

    def interrupt(self) -> None:
        """Nothing is at work between two calls of `wait`."""

    def close(self) -> None:
        """Nothing is held."""
