"""The images that a run's networks are trained on."""

from __future__ import annotations

from pathlib import Path

import optuna

from ir2search.data import ImageData, load_data
from ir2search.errors import RunError
from ir2search.runs.saved import saved_study
from ir2search.runs.storage import open_storage

DATA = "data"  # the storage's attribute: a digest of the images


def run_data(folder: str | Path, data: str | Path | None = None) -> ImageData:
    """A run's images, split as the run split them.

    Args:
        folder: of the run.
        data: the folder of images; None for those that come along.

    Raises:
        RunError: there is no run, or it was run on other images.
        DataError: there are no images, or they cannot be read.
    """
    folder = Path(folder)
    study, place = saved_study(folder), None if data is None else Path(data)
    images = load_data(study.data, place, folder.parent / ".cache", study.seed)
    check_data(open_storage(folder, study), images, folder)
    return images


def check_data(storage: optuna.Study, images: ImageData, folder: Path) -> None:
    """Check that a run's images are these; where it has none yet, any are.

    Raises:
        RunError: they are others.
    """
    if storage.user_attrs.get(DATA, images.fingerprint) != images.fingerprint:
        raise RunError(
            f"{folder}: was run on other images than --data holds now; give it the same data"
        )
