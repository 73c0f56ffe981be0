"""Trainings as tasks of a Ray cluster, which may grow and shrink while a study runs.

When a node is lost, Ray runs its tasks again on another node, where they continue from the last
checkpoint. A node that sees the run's folder reads and writes the checkpoints there. For a node
that does not, an actor on the driver's node carries the files after each epoch.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ir2search.data import Split, StreamedSplit
from ir2search.errors import RunError, first_line
from ir2search.extras import require
from ir2search.files import write_bytes, write_text
from ir2search.runs.layout import CLUSTER_MARK, SEEDS, SUPERNET
from ir2search.runs.supernets import RunSupernet
from ir2search.search.executors.base import ExecutorSettings
from ir2search.search.executors.context import TrainingContext
from ir2search.search.executors.curves import CurveFollower
from ir2search.search.executors.job import JobResult, TrainingJob, run_job
from ir2search.search.observer import RunObserver
from ir2search.supernet.files import TRAINED
from ir2search.training import EpochResult

TICK = 0.3  # seconds between two checks of the tasks
RETRIES = 20  # one training survives the loss of this many nodes
ASK_EVERY = 1.0  # seconds between a task's requests whether to stop

Files = dict[str, bytes]  # contents by path in a trial's folder


class RayExecutor:
    """Trains on a Ray cluster; see `Executor`.

    Args:
        settings: its context is sent to each node once; the study's ``resources`` say what one
            training takes.
        address: ``"auto"`` or ``"HOST:PORT"``.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: no cluster answers at the address.
    """

    def __init__(self, settings: ExecutorSettings, address: str) -> None:
        self._ray = ray = _connect(address)
        self._resources = settings.study.resources
        self._curves = CurveFollower(settings.observer)
        self._mark = (settings.folder / CLUSTER_MARK).resolve()
        self._token = secrets.token_hex(8)
        write_text(self._mark, self._token)
        here = ray.get_runtime_context().get_node_id()
        on_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        actor = ray.remote(ExchangeActor).options(num_cpus=0, scheduling_strategy=on_node)
        self._exchange = actor.remote()
        context = settings.context
        self._context = ray.put(_with_test_images(context) if settings.study.confirm else context)
        self._run = ray.remote(_run).options(
            num_cpus=self._resources.cpus, num_gpus=self._resources.gpus, max_retries=RETRIES
        )
        self._running: dict[Any, TrainingJob] = {}
        self._has_supernet = False  # whether the exchange has its files

    def capacity(self) -> int:
        """How many trainings fit on the nodes that are alive; at least one."""
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
        if job.supernet is not None and not self._has_supernet:
            shared = {name: (job.supernet.folder / name).read_bytes() for name in TRAINED}
            self._ray.get(self._exchange.store.remote(SUPERNET, shared, False))
            self._has_supernet = True
        task = _Task(
            replace(job, folder=job.folder.resolve()),
            key=str(job.folder),
            context=self._context,
            exchange=self._exchange,
            mark=self._mark,
            token=self._token,
            threads=max(1, int(self._resources.cpus)),
            device="cuda" if self._resources.gpus else "cpu",
        )
        self._running[self._run.remote(task)] = job

    def wait(self) -> list[JobResult]:
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=TICK)
        for folder, files in self._ray.get(self._exchange.take_new.remote()).items():
            for name, content in files.items():
                write_bytes(Path(folder) / name, content)
        self._curves.follow(self._running.values())
        return [self._result(task) for task in done]

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()  # trainings on the driver's own node go on

    def interrupt(self) -> None:
        self._exchange.stop.remote()

    def close(self) -> None:
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._mark.unlink(missing_ok=True)
        self._ray.shutdown()

    def _result(self, task: Any) -> JobResult:
        job = self._running.pop(task)
        self._ray.get(self._exchange.forget.remote(str(job.folder)))
        lost = self._ray.exceptions
        try:
            result: JobResult = self._ray.get(task)
        except (lost.WorkerCrashedError, lost.OutOfMemoryError, lost.NodeDiedError) as error:
            reason = first_line(error)
            return JobResult(job, failure=f"its node was lost {RETRIES} times: {reason}")
        return replace(result, job=job)


class ExchangeActor:
    """Carries files to and from nodes that do not see the run's folder; on the driver's node."""

    def __init__(self) -> None:
        self._files: dict[str, Files] = {}
        self._new: set[str] = set()
        self._is_stopping = False

    def store(self, folder: str, files: Files, new: bool = True) -> None:
        """Keep a training's files; the driver fetches new ones by `take_new`."""
        self._files[folder] = files
        if new:
            self._new.add(folder)

    def fetch(self, folder: str) -> Files:
        """The newest files of a training."""
        return self._files.get(folder, {})

    def take_new(self) -> dict[str, Files]:
        """The files that arrived since the last call, by their trial's folder."""
        new = {folder: self._files[folder] for folder in self._new}
        self._new.clear()
        return new

    def forget(self, folder: str) -> None:
        """Drop the files of a training that has ended."""
        if folder not in self._new:
            self._files.pop(folder, None)

    def stop(self) -> None:
        """Ask all trainings to stop."""
        self._is_stopping = True

    def is_stopping(self) -> bool:
        """Whether all trainings should stop."""
        return self._is_stopping


def read_files(folder: Path) -> Files:
    """The checkpoints and curves in a trial's folder, without those of its further seeds."""
    if not folder.is_dir():
        return {}
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.suffix in (".safetensors", ".jsonl") and SEEDS not in file.relative_to(folder).parts
    }


def _with_test_images(context: TrainingContext) -> TrainingContext:
    """The context with its test images read, for nodes that cannot read them themselves."""
    return replace(context, data=replace(context.data, read_test=_Constant(context.test)))


@dataclass
class _Constant:
    """A function that returns a constant; unlike a lambda it can be pickled."""

    value: Split | StreamedSplit

    def __call__(self) -> Split | StreamedSplit:
        return self.value


def _connect(address: str) -> Any:
    ray = require("ray", extra="cluster")
    if address != "auto":
        _check_reachable(address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = first_line(error)
            raise RunError(f"address {address!r}: found no Ray cluster ({reason})") from None
    return ray


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise RunError(f"address {address!r}: must be auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise RunError(
            f"address {address!r}: no Ray cluster answers there ({error.strerror or error}); "
            "start one with `ray start --head`"
        ) from None


# What follows runs in a worker process of a node.


@dataclass(frozen=True)
class _Task:
    """What a worker process gets."""

    job: TrainingJob  # with an absolute folder
    key: str  # the trial's folder, as the driver names it
    context: Any  # reference to the `TrainingContext`
    exchange: Any  # handle of the `ExchangeActor`
    mark: Path  # shows whether this node sees the run's folder
    token: str  # content of that file
    threads: int
    device: str

    def sees_folder(self) -> bool:
        try:
            return self.mark.read_text(encoding="utf-8") == self.token
        except OSError:
            return False


_contexts: dict[Any, TrainingContext] = {}  # of this worker process, by reference


def _run(task: _Task) -> JobResult:
    """Train in the run's folder if this node sees it, else in a temporary folder."""
    import ray

    torch.set_num_threads(task.threads)
    if task.context not in _contexts:
        _contexts[task.context] = ray.get(task.context)
    context, device = _contexts[task.context], torch.device(task.device)
    should_stop = _throttled(lambda: bool(ray.get(task.exchange.is_stopping.remote())))
    if task.sees_folder():
        return run_job(task.job, context, device, RunObserver(), should_stop)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "trial"
        for name, content in ray.get(task.exchange.fetch.remote(task.key)).items():
            write_bytes(folder / name, content)

        def send() -> None:
            ray.get(task.exchange.store.remote(task.key, read_files(folder)))

        job = replace(
            task.job, folder=folder, start=_local_backbone(task), supernet=_local_supernet(task)
        )
        result = run_job(job, context, device, _SendingObserver(send), should_stop)
        if job.supernet is not None:
            send()  # inherited weights have no epoch
        return result


def _local_backbone(task: _Task) -> Any:
    """The shared backbone in a temporary folder; each node trains it once."""
    start = task.job.start
    if start is None:
        return None
    return replace(start, folder=_temporary(task, f"{start.candidate.id}-{start.seed}"))


def _local_supernet(task: _Task) -> RunSupernet | None:
    """The supernet with its files in a temporary folder of the node."""
    import ray

    supernet = task.job.supernet
    if supernet is None:
        return None
    folder = _temporary(task, SUPERNET)
    if not all((folder / name).exists() for name in TRAINED):
        for name, content in ray.get(task.exchange.fetch.remote(SUPERNET)).items():
            write_bytes(folder / name, content)
    return replace(supernet, folder=folder)


def _temporary(task: _Task, name: str) -> Path:
    """A temporary folder that the tasks of one run have in common on a node."""
    return Path(tempfile.gettempdir()) / f"ir2search-{task.token}-{name}"


class _SendingObserver(RunObserver):
    """Sends a training's files to the driver after each epoch."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send

    def on_epoch(self, number: int, result: EpochResult) -> None:
        self._send()


def _throttled(question: Callable[[], bool]) -> Callable[[], bool]:
    """A function that asks at most once in `ASK_EVERY` seconds, else repeats the last answer."""
    asked, answer = 0.0, False

    def ask() -> bool:
        nonlocal asked, answer
        if time.monotonic() - asked >= ASK_EVERY:
            asked, answer = time.monotonic(), question()
        return answer

    return ask
