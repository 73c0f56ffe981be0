"""Run a study in a folder, from its data to its storage, its engine and its driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
from torch import nn

from ir2search.data import ImageData, load_data
from ir2search.errors import RunError
from ir2search.files import add_session, locked
from ir2search.interrupts import deferred_interrupts
from ir2search.search.budget import check_budget
from ir2search.search.claims import Claims
from ir2search.search.driver import Driver
from ir2search.search.engines import Inline, Work
from ir2search.search.folder import check_claim, open_storage, write_study
from ir2search.search.observer import RunObserver
from ir2search.search.results import RunStatus, status
from ir2search.search.study import Study
from ir2search.training import Interrupted, load_teacher, pick_device


def run(
    study: Study,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
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
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        observer: told what happens.

    Raises:
        InputError: the study, the data or the folder is not as it should be.
        KeyboardInterrupt: asked to stop; all but the current epoch is kept.
    """
    folder, where = Path(folder), pick_device(device)
    path = Path(data) if data is not None else None
    if folder.parent.exists() and not folder.parent.is_dir():
        raise RunError(f"{folder.parent}: not a folder; give --runs a folder")
    # checked before the folder is made, so that a wrong --data leaves nothing behind
    images = load_data(study.data, path, folder.parent / ".cache", study.seed)
    space = study.space.with_data(images.image, images.classes)
    check_budget(study, space)
    work = Work(study.recipe, images, _teacher(study, images))
    if path is not None:
        study = study.model_copy(update={"data": replace(study.data, path=str(path.resolve()))})
    check_claim(folder, study)
    listener = observer or RunObserver()
    with locked(folder), deferred_interrupts() as should_stop:
        write_study(folder, study)
        storage = open_storage(folder, study, create=True)
        _check_data(storage, images, folder)
        add_session(folder, study.seed, where)
        engine = Inline(work, where, listener, should_stop)
        with Claims(folder, shared=False) as claims:
            driver = Driver(
                study, space, storage, folder, work, where, engine, claims, listener, should_stop
            )
            try:
                driver.run()
            except Interrupted:
                raise KeyboardInterrupt from None
            finally:
                engine.close()
    return status(folder)


def _teacher(study: Study, images: ImageData) -> nn.Module | None:
    if study.recipe.distillation is None:
        return None
    return load_teacher(study.recipe.distillation, images.image, images.classes)


def _check_data(storage: optuna.Study, data: ImageData, folder: Path) -> None:
    if storage.user_attrs.get("data", data.fingerprint) != data.fingerprint:
        raise RunError(
            f"{folder}: was run on other images than --data holds now; give it the same data"
        )
    storage.set_user_attr("data", data.fingerprint)
