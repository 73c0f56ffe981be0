"""The check that a run goes on with the images that it was begun with."""

from __future__ import annotations

from pathlib import Path

import optuna

from ir2search.data import ImageData
from ir2search.errors import RunError

DATA = "data"  # the attribute of the Optuna study: a digest of the images


def check_data(storage: optuna.Study, images: ImageData, folder: Path) -> None:
    """Check that a run's images are these ones; a run without any takes all.

    Raises:
        RunError: the run was made on other images.
    """
    if storage.user_attrs.get(DATA, images.fingerprint) != images.fingerprint:
        raise RunError(
            f"{folder}: was run on other images than the data folder holds now; give it the same "
            "data"
        )
