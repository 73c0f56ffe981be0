"""The files of a supernet, beside those of its training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ir2search.data import ImageData
from ir2search.errors import RunError
from ir2search.files import read_json, write_json
from ir2search.space import SearchSpace
from ir2search.supernet.supernet import Supernet
from ir2search.training.checkpoint import load_into
from ir2search.training.layout import BEST

ORIGIN = "supernet.json"
TRAINED = (BEST, ORIGIN)  # the files of a trained supernet
SPACE = "for another space"


def note_origin(folder: Path, space: SearchSpace, data: ImageData) -> None:
    """Write which space and images a supernet is trained for; check it if it is written already.

    Raises:
        RunError: the folder has a supernet of another space or other images.
    """
    file, asked = folder / ORIGIN, _origin(space, data)
    if file.exists():
        _check_origin(file, asked)
    else:
        write_json(file, asked)


def load_supernet(folder: Path, space: SearchSpace, data: ImageData) -> Supernet:
    """Read the shared weights that `train_supernet` wrote in a folder.

    Raises:
        RunError: there is none, or it was trained for another space or other images.
    """
    file = folder / ORIGIN
    if not file.is_file():
        raise RunError(f"{folder}: has no supernet; train one first")
    _check_origin(file, _origin(space, data))
    supernet = Supernet(space)
    load_into(supernet.network, folder / BEST)
    return supernet


def _origin(space: SearchSpace, data: ImageData) -> dict[str, Any]:
    searched = {name: asdict(domain) for name, domain in space.searched.items()}
    origin = {"fixed": dict(space.fixed), "searched": searched, "images": data.fingerprint}
    return dict(json.loads(json.dumps(origin, default=str)))


def _check_origin(file: Path, asked: dict[str, Any]) -> None:
    made = read_json(file)  # damaged: the weights beside it are kept
    for name, what in (("images", "on other images"), ("fixed", SPACE), ("searched", SPACE)):
        if not isinstance(made, dict) or made.get(name) != asked[name]:
            raise RunError(
                f"{file}: this supernet was trained {what}; choose another folder, or remove this "
                "one to train again"
            )
