"""Several jobs at once, in processes of this machine."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time
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

from ir2search.search.executors.context import open_context
from ir2search.search.executors.curves import Curves
from ir2search.search.executors.job import (
    JobResult,
    Listener,
    SilentListener,
    TrainingContext,
    TrainingJob,
    run_job,
)
from ir2search.study.schema import Study

TICK = 0.2  # seconds between looks at what workers do
PAUSE = 0.005  # seconds between a worker's looks at whether it may go on
PATIENCE = 10.0  # seconds for workers to come to the end of a step
LIVES = 3  # a job whose worker dies so often is what kills it


@dataclass
class _Worker:
    """A pool of one process, so that one that is killed takes no other job along."""

    device: torch.device
    pool: ProcessPoolExecutor
    waits: Any  # a flag that its process shares: it waits as it was asked to
    job: TrainingJob | None = None
    lives: int = LIVES
    future: Future[JobResult] = field(default_factory=Future)


class ProcessExecutor:
    """Trains in several processes, each with an equal share of the threads; see `Executor`.

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
        self._pause = RawValue("b", 0)
        self._begin = (study, cache, threads, self._stop, self._pause)
        flags = [RawValue("b", 0) for _ in devices]
        self._workers = [
            _Worker(device, self._new_pool(flag), flag)
            for device, flag in zip(devices, flags, strict=True)
        ]

    def capacity(self) -> int:
        return len(self._workers)

    def submit(self, job: TrainingJob) -> None:
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job, worker.lives = job, LIVES
        self._start(worker)

    def wait(self) -> list[JobResult]:
        busy = [worker for worker in self._workers if worker.job is not None]
        concurrent.futures.wait(
            [worker.future for worker in busy],
            timeout=TICK,
            return_when=concurrent.futures.FIRST_COMPLETED,
        )
        self._curves.follow(worker.job for worker in busy if worker.job is not None)
        done = [worker for worker in busy if worker.future.done()]
        return [outcome for worker in done if (outcome := self._outcome(worker)) is not None]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Workers wait between two steps of their trainings; what is no training goes on."""
        self._pause.value = 1
        try:
            ends = time.monotonic() + PATIENCE
            while any(map(_is_at_work, self._workers)) and time.monotonic() < ends:
                time.sleep(PAUSE)
            yield
        finally:
            self._pause.value = 0

    def interrupt(self) -> None:
        self._stop.value = 1

    def close(self) -> None:
        self.interrupt()
        for worker in self._workers:
            worker.pool.shutdown(wait=worker.job is None, cancel_futures=True)

    def _new_pool(self, waits: Any) -> ProcessPoolExecutor:
        waits.value = 0
        return ProcessPoolExecutor(
            1,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(*self._begin, waits),
        )

    def _start(self, worker: _Worker) -> None:
        assert worker.job is not None
        with _interrupts_blocked():
            try:
                worker.future = worker.pool.submit(_perform, worker.job, worker.device)
            except BrokenProcessPool:  # killed while it had nothing to do
                worker.pool = self._new_pool(worker.waits)
                worker.future = worker.pool.submit(_perform, worker.job, worker.device)

    def _outcome(self, worker: _Worker) -> JobResult | None:
        """What became of a worker's job; None where it died and another has the job now."""
        assert worker.job is not None
        try:
            outcome = worker.future.result()
        except BrokenProcessPool:
            worker.pool.shutdown()
            worker.pool = self._new_pool(worker.waits)
            worker.lives -= 1
            if worker.lives and not self._stop.value:
                self._start(worker)
                return None
            reason = f"its worker died {LIVES} times, of too little memory or by a signal"
            outcome = JobResult(worker.job, failure=None if self._stop.value else reason)
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


def _is_at_work(worker: _Worker) -> bool:
    return worker.job is not None and not worker.future.done() and not worker.waits.value


def _begin(study: Study, cache: Path, threads: int, stop: Any, pause: Any, waits: Any) -> None:
    torch.set_num_threads(threads)
    _begun.update(study=study, cache=cache, stop=stop, pause=pause, waits=waits)
    end_with_parent()


def end_with_parent() -> None:
    """This process ends as soon as the one that began it does; what is on disk is whole."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@cache
def _context() -> TrainingContext:
    return open_context(_begun["study"], _begun["cache"])


def _perform(job: TrainingJob, device: torch.device) -> JobResult:
    return run_job(job, _context(), device, SilentListener(), _should_stop)


def _should_stop() -> bool:
    """Whether the driver says so; first wait while it wants the machine for itself."""
    while _begun["pause"].value and not _begun["stop"].value:
        _begun["waits"].value = 1
        time.sleep(PAUSE)
    _begun["waits"].value = 0
    return bool(_begun["stop"].value)
