"""Several trainings at the same time, in processes of this machine."""

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

from ir2search.runs.layout import CACHE
from ir2search.search.executors.base import ExecutorSettings
from ir2search.search.executors.context import TrainingContext, open_context
from ir2search.search.executors.curves import CurveFollower
from ir2search.search.executors.job import JobResult, TrainingJob, run_job
from ir2search.search.observer import RunObserver
from ir2search.study.schema import Study

TICK = 0.2  # seconds between two checks of the workers
PAUSE = 0.005  # seconds between a paused worker's checks whether it may continue
PATIENCE = 10.0  # seconds for workers to finish the step that they are in
ATTEMPTS = 3  # a job fails when this many workers have died with it


@dataclass
class _Worker:
    """A pool of one process: if the process is killed, only its own job is affected."""

    device: torch.device
    pool: ProcessPoolExecutor
    is_paused: Any  # a flag in memory that its process shares
    job: TrainingJob | None = None
    attempts: int = ATTEMPTS
    future: Future[JobResult] = field(default_factory=Future)

    @property
    def is_training(self) -> bool:
        return self.job is not None and not self.future.done() and not self.is_paused.value


class ProcessExecutor:
    """Trains in several processes, each with an equal share of the threads; see `Executor`.

    Args:
        settings: one worker process is started for each device. Each process opens the data
            itself.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        devices = settings.devices
        self._curves = CurveFollower(settings.observer)
        self._stop = RawValue("b", 0)  # has no lock, which a killed worker could hold for ever
        self._pause = RawValue("b", 0)
        self._begin = (
            settings.study,
            settings.folder.parent / CACHE,
            max(1, torch.get_num_threads() // len(devices)),
            self._stop,
            self._pause,
        )
        flags = [RawValue("b", 0) for _ in devices]
        self._workers = [
            _Worker(device, self._new_pool(flag), flag)
            for device, flag in zip(devices, flags, strict=True)
        ]

    def capacity(self) -> int:
        return len(self._workers)

    def submit(self, job: TrainingJob) -> None:
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job, worker.attempts = job, ATTEMPTS
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
        return [result for worker in done if (result := self._result(worker)) is not None]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Workers pause between two training steps; other work of theirs goes on."""
        self._pause.value = 1
        try:
            deadline = time.monotonic() + PATIENCE
            while any(each.is_training for each in self._workers) and time.monotonic() < deadline:
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

    def _new_pool(self, is_paused: Any) -> ProcessPoolExecutor:
        is_paused.value = 0
        return ProcessPoolExecutor(
            1,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(*self._begin, is_paused),
        )

    def _start(self, worker: _Worker) -> None:
        assert worker.job is not None
        with _interrupts_blocked():
            try:
                worker.future = worker.pool.submit(_run, worker.job, worker.device)
            except BrokenProcessPool:  # its process was killed while it had no job
                worker.pool = self._new_pool(worker.is_paused)
                worker.future = worker.pool.submit(_run, worker.job, worker.device)

    def _result(self, worker: _Worker) -> JobResult | None:
        """The result of a worker's job; None if its process died and a new one has the job."""
        assert worker.job is not None
        try:
            result = worker.future.result()
        except BrokenProcessPool:
            worker.pool.shutdown()
            worker.pool = self._new_pool(worker.is_paused)
            worker.attempts -= 1
            if worker.attempts and not self._stop.value:
                self._start(worker)
                return None
            reason = f"its worker died {ATTEMPTS} times, for lack of memory or by a signal"
            result = JobResult(worker.job, failure=None if self._stop.value else reason)
        worker.job = None
        return result


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes that start in this context ignore Ctrl-C: only the driver handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process as soon as its parent ends. This leaves no partial file under its name."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


# What follows runs in a worker process.

_given: dict[str, Any] = {}  # what the driver gave this worker process


def _begin(study: Study, cache: Path, threads: int, stop: Any, pause: Any, is_paused: Any) -> None:
    torch.set_num_threads(threads)
    _given.update(study=study, cache=cache, stop=stop, pause=pause, is_paused=is_paused)
    end_with_parent()


@cache
def _context() -> TrainingContext:
    return open_context(_given["study"], _given["cache"])


def _run(job: TrainingJob, device: torch.device) -> JobResult:
    return run_job(job, _context(), device, RunObserver(), _should_stop)


def _should_stop() -> bool:
    """Whether the driver asks to stop; while it asks for a pause, wait."""
    while _given["pause"].value and not _given["stop"].value:
        _given["is_paused"].value = 1
        time.sleep(PAUSE)
    _given["is_paused"].value = 0
    return bool(_given["stop"].value)
