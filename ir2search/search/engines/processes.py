"""Several jobs at once, in processes of this machine."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context, parent_process
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

import torch

from ir2search.search.engines.curves import Curves
from ir2search.search.engines.job import Job, Listener, Outcome, Silent, Work, perform
from ir2search.search.engines.work import open_work
from ir2search.search.study import Study

TICK = 0.2  # seconds between looks at what workers do
LIVES = 3  # a job whose worker dies so often is what kills it


@dataclass
class _Worker:
    """A pool of one process, so that one that is killed takes no other job along."""

    device: torch.device
    pool: ProcessPoolExecutor
    job: Job | None = None
    lives: int = LIVES
    future: Future[Outcome] = field(default_factory=Future)


class Processes:
    """The engine of several workers, each a process with its share of the threads; see `Engine`.

    Args:
        study: whose data and recipe they take.
        cache: the folder of decoded images.
        devices: one for each worker.
        threads: of each worker.
        listener: told what happens.
    """

    def __init__(
        self,
        study: Study,
        cache: Path,
        devices: list[torch.device],
        threads: int,
        listener: Listener,
    ) -> None:
        self._curves = Curves(listener)
        self._stop = RawValue("b", 0)  # without a lock, which a killed worker might hold for ever
        self._begin = (study, cache, threads, self._stop)
        self._workers = [_Worker(device, self._new_pool()) for device in devices]

    def capacity(self) -> int:
        return len(self._workers)

    def submit(self, job: Job) -> None:
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job, worker.lives = job, LIVES
        self._start(worker)

    def wait(self) -> list[Outcome]:
        busy = [worker for worker in self._workers if worker.job is not None]
        concurrent.futures.wait(
            [worker.future for worker in busy],
            timeout=TICK,
            return_when=concurrent.futures.FIRST_COMPLETED,
        )
        self._curves.follow(worker.job for worker in busy if worker.job is not None)
        done = [worker for worker in busy if worker.future.done()]
        return [outcome for worker in done if (outcome := self._outcome(worker)) is not None]

    def interrupt(self) -> None:
        self._stop.value = 1

    def close(self) -> None:
        self.interrupt()
        for worker in self._workers:
            worker.pool.shutdown(wait=worker.job is None, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_begin, initargs=self._begin
        )

    def _start(self, worker: _Worker) -> None:
        assert worker.job is not None
        with _interrupts_blocked():
            try:
                worker.future = worker.pool.submit(_perform, worker.job, worker.device)
            except BrokenProcessPool:  # killed while it had nothing to do
                worker.pool = self._new_pool()
                worker.future = worker.pool.submit(_perform, worker.job, worker.device)

    def _outcome(self, worker: _Worker) -> Outcome | None:
        """What became of a worker's job; None where it died and another has the job now."""
        assert worker.job is not None
        try:
            outcome = worker.future.result()
        except BrokenProcessPool:
            worker.pool.shutdown()
            worker.pool = self._new_pool()
            worker.lives -= 1
            if worker.lives and not self._stop.value:
                self._start(worker)
                return None
            reason = f"its worker died {LIVES} times, of too little memory or by a signal"
            outcome = Outcome(worker.job, failure=None if self._stop.value else reason)
        worker.job = None
        return outcome


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process that begins within it never sees Ctrl-C, which is for the driver."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_begun: dict[str, Any] = {}  # what this process was begun with, where it is a worker


def _begin(study: Study, cache: Path, threads: int, stop: Any) -> None:
    torch.set_num_threads(threads)
    _begun.update(study=study, cache=cache, stop=stop)
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    """End this process at once where its driver is no more; what is on disk is whole."""
    driver = parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


@cache
def _work() -> Work:
    return open_work(_begun["study"], _begun["cache"])


def _perform(job: Job, device: torch.device) -> Outcome:
    return perform(job, _work(), device, Silent(), _should_stop)


def _should_stop() -> bool:
    """Whether the driver says so."""
    return bool(_begun["stop"].value)
