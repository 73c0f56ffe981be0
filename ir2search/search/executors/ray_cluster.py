"""Jobs as tasks of a Ray cluster, which may grow and shrink meanwhile.

Ray runs the tasks of a lost node again on another one; they go on from their last checkpoint.
That is read in the run's folder where the node sees it, and else comes and goes through an actor
beside the driver, which takes a training's files after each epoch.
"""

from __future__ import annotations

import logging
import secrets
import socket
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ir2search.data import Split, StreamedSplit
from ir2search.errors import RunError
from ir2search.files import write_bytes
from ir2search.search.executors.curves import Curves
from ir2search.search.executors.job import (
    JobResult,
    Listener,
    SilentListener,
    TrainingContext,
    TrainingJob,
    run_job,
)
from ir2search.study.sections import Resources
from ir2search.training import EpochResult

TICK = 0.3  # seconds between looks at what tasks do
RETRIES = 20  # lost nodes that one training survives
ASK_EVERY = 1.0  # seconds between a task's looks at whether to stop
MARK = ".cluster"  # a file by which a node knows that it sees the run's folder

Files = dict[str, bytes]


class RayExecutor:
    """The executor of a Ray cluster; see `Executor`.

    Args:
        context: what all jobs have in common; sent to each node once.
        resources: of one training.
        address: ``"auto"`` or ``"HOST:PORT"``.
        folder: the run's.
        listener: told what happens.

    Raises:
        RunError: Ray is not installed, or no cluster answers at the address.
    """

    def __init__(
        self,
        context: TrainingContext,
        resources: Resources,
        address: str,
        folder: Path,
        listener: Listener,
    ) -> None:
        self._ray = ray = _connect(address)
        self._resources = resources
        self._curves = Curves(listener)
        self._mark = (folder / MARK).resolve()
        self._token = secrets.token_hex(8)
        self._mark.write_text(self._token, encoding="utf-8")
        here = ray.get_runtime_context().get_node_id()
        placed = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._exchange = (
            ray.remote(ExchangeActor).options(num_cpus=0, scheduling_strategy=placed).remote()
        )
        self._context = [ray.put(context)]  # in a list, so that tasks get the reference
        self._task = ray.remote(_perform).options(
            num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=RETRIES
        )
        self._flying: dict[Any, TrainingJob] = {}

    def capacity(self) -> int:
        """How many trainings the nodes that are there have room for; at least one."""
        need = {"CPU": self._resources.cpus, "GPU": self._resources.gpus}
        rooms = [
            min(int(node["Resources"].get(name, 0) / need[name]) for name in need if need[name])
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        return max(1, sum(rooms))

    def submit(self, job: TrainingJob) -> None:
        files = read_files(job.folder)
        if files:
            self._ray.get(self._exchange.store.remote(str(job.folder), files, False))
        task = self._task.remote(
            replace(job, folder=job.folder.resolve()),
            str(job.folder),
            self._context,
            self._exchange,
            (str(self._mark), self._token),
            max(1, int(self._resources.cpus)),
            "cuda" if self._resources.gpus else "cpu",
        )
        self._flying[task] = job

    def wait(self) -> list[JobResult]:
        done, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=TICK)
        for folder, files in self._ray.get(self._exchange.take_new.remote()).items():
            for name, content in files.items():
                write_bytes(Path(folder) / name, content)
        self._curves.follow(self._flying.values())
        return [self._outcome(task) for task in done]

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()  # trainings on the driver's own node go on

    def interrupt(self) -> None:
        self._exchange.stop.remote()

    def close(self) -> None:
        for task in self._flying:
            self._ray.cancel(task, force=True)
        self._mark.unlink(missing_ok=True)
        self._ray.shutdown()

    def _outcome(self, task: Any) -> JobResult:
        job = self._flying.pop(task)
        self._ray.get(self._exchange.forget.remote(str(job.folder)))
        lost = self._ray.exceptions
        try:
            outcome: JobResult = self._ray.get(task)
        except (lost.WorkerCrashedError, lost.OutOfMemoryError, lost.NodeDiedError) as error:
            return JobResult(job, failure=f"lost {RETRIES} times: {str(error).splitlines()[0]}")
        return replace(outcome, job=job)


class ExchangeActor:
    """An actor beside the driver: takes files of trainings whose nodes do not see its folder."""

    def __init__(self) -> None:
        self._files: dict[str, Files] = {}
        self._new: set[str] = set()
        self._stopping = False

    def store(self, folder: str, files: Files, new: bool = True) -> None:
        """Keep a training's files; ``new`` ones are for the driver too."""
        self._files[folder] = files
        if new:
            self._new.add(folder)

    def fetch(self, folder: str) -> Files:
        """A training's newest files."""
        return self._files.get(folder, {})

    def take_new(self) -> dict[str, Files]:
        """What came since the last call."""
        new = {folder: self._files[folder] for folder in self._new}
        self._new.clear()
        return new

    def forget(self, folder: str) -> None:
        """A training is done."""
        if folder not in self._new:
            self._files.pop(folder, None)

    def stop(self) -> None:
        """All are to stop."""
        self._stopping = True

    def is_stopping(self) -> bool:
        """Whether they are."""
        return self._stopping


def with_tests(context: TrainingContext) -> TrainingContext:
    """The context with its test images read, for nodes that cannot read them themselves."""
    return replace(context, data=replace(context.data, read_test=_Given(context.test)))


class _Given:
    def __init__(self, split: Split | StreamedSplit) -> None:
        self.split = split

    def __call__(self) -> Split | StreamedSplit:
        return self.split


def read_files(folder: Path) -> Files:
    """The files of a training, by their path in its folder."""
    if not folder.is_dir():
        return {}
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.suffix in (".safetensors", ".jsonl") and "seeds" not in file.parts
    }


_contexts: dict[Any, TrainingContext] = {}  # of this worker process, by reference


def _perform(
    job: TrainingJob,
    key: str,
    context: list[Any],
    exchange: Any,
    mark: tuple[str, str],
    threads: int,
    device: str,
) -> JobResult:
    """A task: do the job in the run's folder, or else in one of its own."""
    import ray

    torch.set_num_threads(threads)
    if context[0] not in _contexts:
        _contexts[context[0]] = ray.get(context[0])
    opened, where = _contexts[context[0]], torch.device(device)
    should_stop = _asking(lambda: bool(ray.get(exchange.is_stopping.remote())))
    if _sees(*mark):
        return run_job(job, opened, where, SilentListener(), should_stop)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "trial"
        for name, content in ray.get(exchange.fetch.remote(key)).items():
            write_bytes(folder / name, content)

        def send() -> None:
            ray.get(exchange.store.remote(key, read_files(folder)))

        start = job.start
        if start is not None:  # one training a node
            name = f"ir2search-{mark[1]}-{start.candidate.id}-{start.seed}"
            start = replace(start, folder=Path(tempfile.gettempdir()) / name)
        moved = replace(job, folder=folder, start=start)
        return run_job(moved, opened, where, _Sending(send), should_stop)


def _sees(mark: str, token: str) -> bool:
    try:
        return Path(mark).read_text(encoding="utf-8") == token
    except OSError:
        return False


class _Sending(SilentListener):
    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send

    def on_epoch(self, number: int, result: EpochResult) -> None:
        self._send()


def _asking(question: Callable[[], bool]) -> Callable[[], bool]:
    """The question, asked no more often than needed; its last answer meanwhile."""
    asked, answer = 0.0, False

    def ask() -> bool:
        nonlocal asked, answer
        if time.monotonic() - asked >= ASK_EVERY:
            asked, answer = time.monotonic(), question()
        return answer

    return ask


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise RunError("--executor ray: Ray is missing; pip install 'ir2search[cluster]'") from None
    if address != "auto":
        _check_reachable(address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"--address {address}: no Ray cluster to be had ({reason})") from None
    return ray


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise RunError(f"--address {address}: must be auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise RunError(
            f"--address {address}: no Ray cluster answers there ({error.strerror or error}); "
            "start one with `ray start --head`"
        ) from None
