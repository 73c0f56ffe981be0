"""Several trainings at the same time, in processes of this machine."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import active_children, current_process, get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

import torch

from ir2search.errors import RunError
from ir2search.interrupts import blocked_signals
from ir2search.machine import cores
from ir2search.runs.layout import CACHE
from ir2search.search.executors.base import ExecutorSettings
from ir2search.search.executors.context import TrainingContext, open_context
from ir2search.search.executors.curves import CurveFollower
from ir2search.search.executors.job import JobResult, TrainingJob, run_job
from ir2search.search.observer import RunObserver
from ir2search.study.schema import Study

TICK = 0.2  # seconds between two checks of the workers
PAUSE = 0.005  # seconds between a paused worker's checks whether it may continue
STEP_TIMEOUT = 10.0  # seconds for workers to finish the step that they are in
ATTEMPTS = 3  # a job fails when this many workers have died with it; the last trains it alone
NO_MAIN_GUARD = 78  # exit code of a worker that runs a script without a main guard
# signals that a training may cause: the kernel lacks memory, or compiled code crashes
OF_THE_JOB = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
DIED = (
    "its worker died {} times, for lack of memory or by a signal, the last time with no other "
    "training beside it"
)


@dataclass
class _Worker:
    """A pool of one process: if the process is killed, only its own job is affected."""

    device: torch.device
    pool: ProcessPoolExecutor
    is_paused: Any  # shared flag: its process waits between two steps
    is_ready: Any  # shared flag: its process has started
    process: BaseProcess | None = None
    job: TrainingJob | None = None
    attempts: int = ATTEMPTS
    future: Future[JobResult] = field(default_factory=Future)
    waits: bool = False  # its job waits until it can be trained alone

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
        _check_main()
        devices = settings.devices
        self._should_stop = settings.should_stop
        self._curves = CurveFollower(settings.observer)
        self._stop = RawValue("b", 0)  # has no lock, which a killed worker could hold for ever
        self._pause = RawValue("b", 0)
        self._initargs = (
            settings.study,
            settings.folder.parent / CACHE,
            max(1, min(torch.get_num_threads(), cores()) // len(devices)),
            self._stop,
            self._pause,
        )
        self._workers = [self._new_worker(device) for device in devices]

    def capacity(self) -> int:
        busy = [worker for worker in self._workers if worker.job is not None]
        return len(busy) if any(_is_alone(each) for each in busy) else len(self._workers)

    def submit(self, job: TrainingJob) -> None:
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job, worker.attempts = job, ATTEMPTS
        self._start(worker)

    def wait(self) -> list[JobResult]:
        self._start_alone()
        busy = [worker for worker in self._workers if worker.job is not None and not worker.waits]
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
            deadline = time.monotonic() + STEP_TIMEOUT
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

    def _new_worker(self, device: torch.device) -> _Worker:
        is_paused, is_ready = RawValue("b", 0), RawValue("b", 0)
        return _Worker(device, self._new_pool(is_paused, is_ready), is_paused, is_ready)

    def _new_pool(self, is_paused: Any, is_ready: Any) -> ProcessPoolExecutor:
        """A pool whose process starts with its first job."""
        is_paused.value = is_ready.value = 0
        return ProcessPoolExecutor(
            1,
            mp_context=get_context("spawn"),
            initializer=_initialise,
            initargs=(*self._initargs, is_paused, is_ready),
        )

    def _renew(self, worker: _Worker) -> None:
        """End the worker's process; its next job starts another one."""
        worker.pool.shutdown()
        worker.pool = self._new_pool(worker.is_paused, worker.is_ready)

    def _start(self, worker: _Worker) -> None:
        assert worker.job is not None
        before = active_children()
        with blocked_signals(signal.SIGINT):  # only the driver handles Ctrl-C
            try:
                worker.future = worker.pool.submit(_run, worker.job, worker.device)
            except BrokenProcessPool:  # its process was killed while it had no job
                self._renew(worker)
                worker.future = worker.pool.submit(_run, worker.job, worker.device)
        started = [process for process in active_children() if process not in before]
        worker.process = started[0] if started else worker.process

    def _start_alone(self) -> None:
        """If no other job is left, start one that waits to be trained alone."""
        busy = [worker for worker in self._workers if worker.job is not None]
        if busy and all(worker.waits for worker in busy):
            for worker in self._workers:  # idle processes have the images in memory
                self._renew(worker)
            busy[0].waits = False
            self._start(busy[0])

    def _result(self, worker: _Worker) -> JobResult | None:
        """The result of a worker's job; None if its process died and the job is tried again."""
        assert worker.job is not None
        if isinstance(worker.future.exception(), BrokenProcessPool):
            if (failure := self._try_again(worker)) is None and not self._should_stop():
                return None
            result = JobResult(worker.job, failure=failure)
        else:
            result = worker.future.result()
        worker.job = None
        return result

    def _try_again(self, worker: _Worker) -> str | None:
        """Start a job again after its worker's process died.

        Returns:
            Why the job failed, after its last attempt; None before that, or if the user has asked
            to stop.

        Raises:
            RunError: the process did not die because of the job.
        """
        was_ready, code = worker.is_ready.value, _exit_code(worker)
        self._renew(worker)
        worker.attempts -= 1
        if self._should_stop():
            return None
        if code == NO_MAIN_GUARD:
            raise RunError(
                "worker processes run the script again when they start: put its call of "
                '`ir2search.run` under `if __name__ == "__main__":`, or train with one worker'
            )
        if worker.attempts == 0:
            if was_ready and -code in OF_THE_JOB:
                return DIED.format(ATTEMPTS)
            raise RunError(
                f"worker processes end with exit code {code}, {ATTEMPTS} times with the same "
                "trial; solve that, or train with one worker; the same command continues the run"
            )
        worker.waits = worker.attempts == 1
        if not worker.waits:
            self._start(worker)
        return None


def _exit_code(worker: _Worker) -> int:
    """The exit code of a worker's dead process: after a signal, minus the signal's number."""
    assert worker.process is not None
    worker.process.join()
    return worker.process.exitcode or 0


def _is_alone(worker: _Worker) -> bool:
    """Whether a worker's job is trained alone, or waits for that."""
    return worker.attempts == 1


def exit_without_main_guard() -> None:
    """End this process if it is a worker that runs a script without a main guard.

    Python runs the user's script again in each worker before the worker starts. Without a main
    guard the script then calls `ir2search.run`. The driver knows the exit code.
    """
    if getattr(current_process(), "_inheriting", False):
        sys.exit(NO_MAIN_GUARD)


def _check_main() -> None:
    """Check that workers can run the user's script.

    Raises:
        RunError: the script comes from standard input.
    """
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not Path(file).exists():
        raise RunError(
            f"{file}: worker processes cannot read the script from there; save it as a file, or "
            "train with one worker"
        )


def end_with_parent() -> None:
    """End this process as soon as its parent ends. Files are never left half written."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


# What follows runs in a worker process.

_given: dict[str, Any] = {}  # values from the driver, by name


def _initialise(
    study: Study, cache: Path, threads: int, stop: Any, pause: Any, is_paused: Any, is_ready: Any
) -> None:
    torch.set_num_threads(threads)
    _given.update(study=study, cache=cache, stop=stop, pause=pause, is_paused=is_paused)
    end_with_parent()
    is_ready.value = 1


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
