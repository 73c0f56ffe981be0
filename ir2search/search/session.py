"""Run a study in a folder: its data, its storage, its executor, its driver."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from ir2search.environment import add_session
from ir2search.errors import RunError
from ir2search.files import locked
from ir2search.interrupts import deferred_interrupts
from ir2search.runs.images import DATA, check_data
from ir2search.runs.layout import CACHE
from ir2search.runs.saved import check_folder, saved_study, write_study
from ir2search.runs.status import RunStatus, status
from ir2search.runs.storages import RunStudy, is_shared, open_storage, storage_errors
from ir2search.search.budget import check_budget
from ir2search.search.driver import Driver
from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import (
    Executor,
    InlineExecutor,
    ProcessExecutor,
    TrainingContext,
    open_context,
)
from ir2search.search.executors.devices import worker_devices, worker_threads
from ir2search.search.executors.ray_cluster import RayExecutor, with_tests
from ir2search.search.latency_timer import LatencyTimer, check_machine
from ir2search.search.observer import RunObserver
from ir2search.study.schema import Study
from ir2search.study.serialise import definition
from ir2search.training import Interrupted

PATIENCE = 60.0  # seconds for other drivers to begin on the same study


def run(
    study: Study,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    trials_per_device: int | None = None,
    executor: Literal["local", "ray"] = "local",
    address: str = "auto",
    storage: str | None = None,
    observer: RunObserver | None = None,
) -> RunStatus:
    """Run a study in a folder, or go on with it, until it has trained all its trials.

    Equal candidates are trained once; those over the budget are turned down untrained; a trial
    that fails is recorded with its reason. At the end, and only then, the members of the front
    are measured on the test set.

    Args:
        study: from `load_study`.
        folder: the run's own folder, made where needed. Decoded images are cached beside it.
        data: the folder of images, where the study reads one.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, or several as ``"cuda:0,cuda:1"``.
        workers: how many trainings run at once, each in a process of its own; as many as there are
            devices where left out.
        trials_per_device: in place of ``workers``, how many on each device.
        executor: ``"local"`` for this machine; ``"ray"`` for a Ray cluster, of which each training
            takes what the study's ``resources`` say.
        address: of the cluster, ``"auto"`` or ``"HOST:PORT"``.
        storage: where the trials are kept; SQLite in the folder where left out. ``"journal"``, or
            the URL of a database server, see `ir2search.runs.storage`, or its proxy's.
        observer: told what happens.

    Raises:
        InputError: the study, the data, the folder, a device, the cluster or the storage is not as
            it should be.
        KeyboardInterrupt: asked to stop; all but the current epoch is kept.
    """
    folder = Path(folder)
    devices = worker_devices(device, workers, trials_per_device)
    if executor == "ray" and (workers or trials_per_device):
        raise RunError(
            "--executor ray: the cluster and [resources] say how much runs at once; drop --workers"
        )
    path = Path(data) if data is not None else None
    if folder.parent.exists() and not folder.parent.is_dir():
        raise RunError(f"{folder.parent}: not a folder; give --runs a folder")
    # before the folder is made, so that a wrong --data leaves nothing behind
    context = open_context(study, folder.parent / CACHE, path)
    if path is not None:
        study = study.model_copy(update={"data": replace(study.data, path=str(path.resolve()))})
    space = study.space.with_data(context.data.image, context.data.classes)
    check_budget(study, space, LatencyTimer(study, folder.parent))
    check_folder(folder, study)
    shared = is_shared(folder, storage)

    def make_executor(listener: RunObserver, should_stop: Callable[[], bool]) -> Executor:
        if executor == "ray":
            sent = with_tests(context) if study.confirm else context
            return RayExecutor(sent, study.resources, address, folder, listener)
        return _local_executor(study, folder, context, devices, listener, should_stop)

    session = _Session(study, folder, context, devices[0], storage, shared, observer, make_executor)
    return session.run(begin=True)


def join(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    trials_per_device: int | None = None,
    storage: str | None = None,
    observer: RunObserver | None = None,
) -> RunStatus:
    """Work on a run that another driver began, beside it.

    Args:
        folder: the run's, on a file system that all drivers share.
        data: where the images lie on this machine, where that differs.
        device: see `run`, like all that follow.
        workers: likewise.
        trials_per_device: likewise.
        storage: needed only to give a password.
        observer: likewise.

    Raises:
        RunError: there is no run, or its storage is one driver's at a time.
        InputError: something else that was given is wrong.
        KeyboardInterrupt: asked to stop; all but the current epoch is kept.
    """
    folder = Path(folder)
    devices = worker_devices(device, workers, trials_per_device)
    study = saved_study(folder)
    if not is_shared(folder, storage):
        raise RunError(
            f"{folder}: its storage is for one driver at a time; give `ir2search run` --workers, "
            "or begin the run with --storage postgresql+psycopg://..."
        )
    if data is not None:
        study = study.model_copy(
            update={"data": replace(study.data, path=str(Path(data).resolve()))}
        )
    context = open_context(study, folder.parent / CACHE)

    def make_executor(listener: RunObserver, should_stop: Callable[[], bool]) -> Executor:
        return _local_executor(study, folder, context, devices, listener, should_stop)

    session = _Session(study, folder, context, devices[0], storage, True, observer, make_executor)
    return session.run(begin=False)


class _Session:
    """One process's work on a run, from the lock on its folder to the last line."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        context: TrainingContext,
        device: torch.device,
        storage: str | None,
        shared: bool,
        observer: RunObserver | None,
        make_executor: Callable[[RunObserver, Callable[[], bool]], Executor],
    ) -> None:
        self.study, self.folder, self.context, self.device = study, folder, context, device
        self.storage, self.shared, self.make_executor = storage, shared, make_executor
        self.observer = observer or RunObserver()

    def run(self, begin: bool) -> RunStatus:
        """Begin the run where asked, and work on it to its end."""
        try:
            with deferred_interrupts() as should_stop:
                self._run(begin, should_stop)
        except OSError as error:  # a full or read-only disk, a network that is down
            place, reason = error.filename or self.folder, error.strerror or error
            raise RunError(
                f"{place}: {reason}; mend that and run the same command again to go on"
            ) from None
        return status(self.folder)

    def _run(self, begin: bool, should_stop: Callable[[], bool]) -> None:
        if self.shared:
            with locked(self.folder, PATIENCE):
                storage = self._open(begin)
            self._drive(storage, should_stop)
        else:
            with locked(self.folder):
                self._drive(self._open(begin), should_stop)

    def _open(self, begin: bool) -> RunStudy:
        if begin:
            write_study(self.folder, self.study)
        made = json.dumps(definition(self.study), sort_keys=True)
        storage = open_storage(self.folder, self.study, self.storage, definition=made, create=True)
        check_data(storage, self.context.data, self.folder)
        storage.set_user_attr(DATA, self.context.data.fingerprint)
        if self.study.is_timed:
            check_machine(storage, self.folder)
        add_session(self.folder, self.study.seed, self.device)
        return storage

    def _drive(self, storage: RunStudy, should_stop: Callable[[], bool]) -> None:
        space = self.study.space.with_data(self.context.data.image, self.context.data.classes)
        executor = self.make_executor(self.observer, should_stop)
        try:
            with DriverLocks(self.folder, shared=self.shared) as locks, storage_errors(self.folder):
                Driver(
                    self.study,
                    space,
                    storage,
                    self.folder,
                    self.context,
                    self.device,
                    executor,
                    locks,
                    LatencyTimer(self.study, self.folder.parent, executor.paused),
                    self.observer,
                    should_stop,
                ).run()
        except Interrupted:
            raise KeyboardInterrupt from None
        finally:
            executor.close()


def _local_executor(
    study: Study,
    folder: Path,
    context: TrainingContext,
    devices: list[torch.device],
    listener: RunObserver,
    should_stop: Callable[[], bool],
) -> Executor:
    if len(devices) == 1:
        return InlineExecutor(context, devices[0], listener, should_stop)
    return ProcessExecutor(
        study, folder.parent / CACHE, devices, worker_threads(len(devices)), listener
    )
