"""Run a study in a folder: open its data and its storage, make an executor, start the driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from ir2search.environment import add_session
from ir2search.errors import RunError
from ir2search.extensions import check_trusted
from ir2search.files import encodable, locked, protect
from ir2search.interrupts import stoppable
from ir2search.observers import all_observers
from ir2search.runs.layout import CACHE, ENVIRONMENT_FILE
from ir2search.runs.run import Run
from ir2search.runs.saved import check_folder, saved_study, write_study
from ir2search.runs.status import RunStatus, status
from ir2search.runs.storages import (
    IMAGES,
    PARALLEL,
    TRAIN_IMAGES,
    VALIDATION_IMAGES,
    RunStudy,
    is_shared,
    open_storage,
    storage_errors,
)
from ir2search.runs.supernets import check_supernet, run_supernet
from ir2search.search.budget import check_budget
from ir2search.search.driver import Driver
from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import (
    Executor,
    ExecutorFactory,
    ExecutorSettings,
    InlineExecutor,
    OrderedExecutor,
    ProcessExecutor,
    TrainingContext,
    open_context,
)
from ir2search.search.executors.devices import Workers, with_fitting_workers, worker_devices
from ir2search.search.executors.processes import exit_without_main_guard
from ir2search.search.executors.ray_cluster import RayExecutor
from ir2search.search.latency_timer import LatencyTimer, check_machine
from ir2search.search.observer import RunObserver
from ir2search.search.problem import Problem
from ir2search.search.progress import RunProgress
from ir2search.study.loading import load_study
from ir2search.study.schema import Study
from ir2search.study.serialise import definition

LOCK_TIMEOUT = 60.0  # seconds to wait while other drivers open the same study


def run(
    study: Study | str | Path,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    workers: Workers = None,
    trials_per_device: int | None = None,
    executor: Literal["local", "ray"] | ExecutorFactory = "local",
    address: str = "auto",
    storage: str | None = None,
    retry_failed: bool = False,
    observer: RunObserver | Sequence[RunObserver] | None = None,
    progress: bool = True,
) -> RunStatus:
    """Run a study in a folder, or continue it, until all its trials are trained.

    A network is trained only once, even if it is proposed again. Candidates over the budget are
    not trained. A trial that fails is recorded with the reason, and the study goes on. At the end
    the members of the front are measured on the test set, which is not read before.

    Args:
        study: the study, its file, or the name of a shipped one, as for `load_study`.
        folder: the run's own folder. Decoded images are cached beside it.
        data: folder of images, if the study reads one.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, or several, such as ``"cuda:0,cuda:1"``.
        workers: number of trainings at the same time, each in its own process; by default one for
            each device. ``"auto"``: if networks are trained on the CPU, one for each core, limited
            by the study's ``parallel`` and by the memory; a script then needs a main guard. A
            number above ``parallel`` raises it for this run.
        trials_per_device: number of trainings on each device, instead of ``workers``.
        executor: ``"local"`` trains on this machine, ``"ray"`` on a Ray cluster, where each
            training takes what the study's ``[resources]`` say; or a function that makes an
            `Executor` from `ExecutorSettings`.
        address: the Ray cluster, ``"auto"`` or ``"HOST:PORT"``.
        storage: where trials are kept, a journal in the folder by default. Several drivers need the
            URL of a database, such as ``"postgresql+psycopg://USER@HOST/DATABASE"``, or of Optuna's
            proxy in front of it, ``"grpc://HOST:PORT"``.
        retry_failed: whether to train the failed trials of earlier sessions again, from the start
            and as new trials.
        observer: one or several, which are told what happens. If one fails, the run goes on.
        progress: show bars in a notebook or a terminal; nothing is shown anywhere else.

    Raises:
        InputError: the study, the data, the folder, a device, the cluster or the storage cannot be
            used; the message says why.
        KeyboardInterrupt: the user asked to stop. Only the epochs that were running are lost.
    """
    exit_without_main_guard()
    folder = Path(folder)
    if not isinstance(study, Study):
        study = load_study(study)
    devices = worker_devices(device, workers, trials_per_device)
    if executor == "ray":
        _check_ray(workers, trials_per_device)
    with all_observers(RunObserver, observer, RunProgress, progress) as observers:
        study, context = checked_study(study, folder, Path(data) if data is not None else None)
        shared = is_shared(folder, storage)
        if executor == "local":
            most = study.trials if shared else study.parallel
            devices = with_fitting_workers(devices, workers, study, context.data, most)
        return _Session(
            study,
            folder,
            context,
            devices,
            make_executor=_factory(executor, address),
            storage=storage,
            shared=shared,
            observer=observers,
            retry_failed=retry_failed,
        ).run(begin=True)


def join(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    trials_per_device: int | None = None,
    storage: str | None = None,
    observer: RunObserver | Sequence[RunObserver] | None = None,
    progress: bool = True,
) -> RunStatus:
    """Work on a run together with the driver that began it.

    Args:
        folder: the run's folder, on a file system that all drivers share.
        data: folder of images on this machine, if it differs.
        device: where to train, as for `run`.
        workers: number of trainings at the same time, as for `run`.
        trials_per_device: number of trainings on each device, as for `run`.
        storage: the run's storage again, if its URL needs a password.
        observer: one or several, which are told what happens. If one fails, the run goes on.
        progress: show bars in a notebook or a terminal; nothing is shown anywhere else.

    Returns:
        The status of the run at its end.

    Raises:
        RunError: there is no run, or its storage serves only one driver at a time.
        InputError: something else cannot be used; the message says why.
        KeyboardInterrupt: the user asked to stop. Only the epochs that were running are lost.
    """
    exit_without_main_guard()
    folder = Path(folder)
    devices = worker_devices(device, workers, trials_per_device)
    study = saved_study(folder)
    check_trusted(folder, study.modules)
    if not is_shared(folder, storage):
        raise RunError(
            f"{folder}: its storage serves one driver at a time; run it with several workers, or "
            "begin a run with the storage postgresql+psycopg://..."
        )
    if data is not None:
        study = _with_data(study, Path(data))
    with all_observers(RunObserver, observer, RunProgress, progress) as observers:
        with _disk_errors(folder):
            context = open_context(study, folder.parent / CACHE)
        return _Session(
            study,
            folder,
            context,
            devices,
            make_executor=_local_executor,
            storage=storage,
            shared=True,
            observer=observers,
        ).run(begin=False)


def checked_study(study: Study, folder: Path, data: Path | None) -> tuple[Study, TrainingContext]:
    """Check a study and open its data; nothing is written before all checks pass.

    Args:
        study: the study.
        folder: of its run.
        data: folder of images, if the study reads one.

    Raises:
        InputError: the study, the data or the folder cannot be used.
    """
    if folder.parent.exists() and not folder.parent.is_dir():
        raise RunError(f"{folder.parent}: is not a folder; choose another folder for the run")
    _check_encodable(folder)
    with _disk_errors(folder):
        # The data is read before the folder is made: a wrong path then leaves nothing behind.
        context = open_context(study, folder.parent / CACHE, data)
        if data is not None:
            study = _with_data(study, data)
        space = study.search_space.with_data(context.data.image, context.data.classes)
        check_supernet(study, context.data)
        check_budget(Problem(study, space, LatencyTimer(study, folder.parent)))
        check_folder(folder, study)
    return study, context


@dataclass(frozen=True)
class _Session:
    """One driver's work on a run, from the lock on its folder until it stops."""

    study: Study
    folder: Path
    context: TrainingContext
    devices: list[torch.device]
    make_executor: ExecutorFactory
    storage: str | None
    shared: bool
    observer: RunObserver
    retry_failed: bool = False

    def run(self, begin: bool) -> RunStatus:
        """Work on the run to its end; if this session begins the run, write its study file."""
        protect(self.folder)
        with _disk_errors(self.folder), stoppable() as should_stop:
            try:
                self._run(begin, should_stop)
            finally:
                self.observer.on_end()
        return status(Run.open(self.folder, self.storage))

    def _run(self, begin: bool, should_stop: Callable[[], bool]) -> None:
        if self.shared:
            with locked(self.folder, LOCK_TIMEOUT):
                storage = self._open(begin)
            self._drive(storage, should_stop)
        else:
            with locked(self.folder):
                self._drive(self._open(begin), should_stop)

    def _open(self, begin: bool) -> RunStudy:
        if begin:
            write_study(self.folder, self.study)
        values = json.dumps(definition(self.study), sort_keys=True)
        storage = open_storage(
            self.folder, self.study, self.storage, definition=values, create=True
        )
        storage.check_images(self.context.data.fingerprint)
        storage.set_user_attr(IMAGES, self.context.data.fingerprint)
        storage.set_user_attr(TRAIN_IMAGES, len(self.context.data.train))
        storage.set_user_attr(VALIDATION_IMAGES, len(self.context.data.validation))
        if self.study.is_timed:
            check_machine(storage, self.folder)
        add_session(self.folder / ENVIRONMENT_FILE, self.study.seed, self.devices[0])
        return storage

    def _drive(self, storage: RunStudy, should_stop: Callable[[], bool]) -> None:
        settings = ExecutorSettings(
            study=self.study,
            folder=self.folder,
            context=self.context,
            devices=self.devices,
            observer=self.observer,
            should_stop=should_stop,
            parallel=None if self.shared else self._parallel(storage),
        )
        self.observer.on_open(Run.open(self.folder, self.storage))
        executor = self.make_executor(settings)
        try:
            self._train_supernet(should_stop)
            data = self.context.data
            space = self.study.search_space.with_data(data.image, data.classes)
            timer = LatencyTimer(self.study, self.folder.parent, executor.paused)
            problem = Problem(self.study, space, timer)
            with DriverLocks(self.folder, shared=self.shared) as locks, storage_errors(self.folder):
                Driver(problem, storage, settings, executor, locks).run(self.retry_failed)
        finally:
            executor.close()

    def _train_supernet(self, should_stop: Callable[[], bool]) -> None:
        """Train the weights that all candidates share, if the study has them."""
        context, observer = self.context, self.observer
        supernet = run_supernet(self.study, self.folder, context.data)
        if supernet is None:
            return
        supernet.train(
            context.data,
            device=self.devices[0],
            teacher=context.teacher,
            on_epoch=lambda row: observer.on_supernet_epoch(row, supernet.recipe.epochs),
            on_step=lambda progress: observer.on_supernet_step(progress, supernet.recipe.epochs),
            should_stop=should_stop,
        )

    def _parallel(self, storage: RunStudy) -> int:
        """The study's ``parallel``, or the largest number of workers that the run has had."""
        recorded = storage.user_attrs.get(PARALLEL, self.study.parallel)
        if not isinstance(recorded, int):
            raise RunError(f"{self.folder}: {PARALLEL} is damaged in the run's storage")
        parallel = max(1, recorded, len(self.devices))
        storage.set_user_attr(PARALLEL, parallel)
        return parallel


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the operating system, such as a full disk, into one sentence."""
    try:
        yield
    except OSError as error:
        lines = str(error).strip().splitlines()  # the traceback, if it comes from a worker process
        place, reason = error.filename or folder, error.strerror or (lines or [repr(error)])[-1]
        raise RunError(
            f"{place}: {reason}; solve that and run the same command again to continue"
        ) from None


def _check_ray(workers: Workers, trials_per_device: int | None) -> None:
    """Raise RunError if a number of workers is given for a Ray cluster."""
    if workers not in (None, "auto") or trials_per_device is not None:
        raise RunError(
            "workers and trials_per_device: do not apply to a Ray cluster, where [resources] in "
            "the study file says what one training takes; leave them out"
        )


def _factory(executor: Literal["local", "ray"] | ExecutorFactory, address: str) -> ExecutorFactory:
    if executor == "ray":
        return partial(RayExecutor, address=address)
    return _local_executor if executor == "local" else executor


def _local_executor(settings: ExecutorSettings) -> Executor:
    """Train here; results come in the order of their trainings unless the run is shared."""
    make = InlineExecutor if len(settings.devices) == 1 else ProcessExecutor
    executor = make(settings)
    return executor if settings.parallel is None else OrderedExecutor(executor, settings.parallel)


def _check_encodable(path: Path) -> None:
    """Raise RunError if a path is not UTF-8 and so cannot be written to a file of the run."""
    if encodable(str(path)) != str(path):
        raise RunError(f"{path}: the path is not UTF-8; rename the folder, or choose another one")


def _with_data(study: Study, path: Path) -> Study:
    """The study with its images in the folder ``path``; RunError if that is not UTF-8."""
    _check_encodable(path.resolve())
    return study.model_copy(update={"data": replace(study.data, path=str(path.resolve()))})
