"""Find the images of a data folder, in one of three layouts.

- parquet files, as on the Hugging Face hub, see `ir2search.data.parquet`;
- the official CIFAR-10 binary batches, see `ir2search.data.cifar`;
- image files in a folder for each class, see `ir2search.data.image_files`.

They are in the folder itself, or in one of its subfolders.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ir2search import text
from ir2search.data.cifar import find_cifar
from ir2search.data.directories import entries, folders
from ir2search.data.image_files import find_image_files
from ir2search.data.listing import Columns, FolderSource
from ir2search.data.parquet import find_parquet
from ir2search.errors import DataError


def find_source(folder: Path, columns: Columns | None = None) -> FolderSource:
    """Find the images of a data folder, without decoding them.

    ``columns`` are names of columns of parquet files; other layouts have none.

    Raises:
        DataError: the folder is missing, empty, cannot be read, or has an unknown layout; or a
            split is missing.
    """
    if folder.is_file():
        raise DataError(f"{folder}: is a file; give the folder that contains the images")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the data folder must contain images")
    if not entries(folder):
        raise DataError(f"{folder}: the folder is empty; the data folder must contain images")
    columns = columns or Columns()
    found = _look(folder, columns) or _look_below(folder, columns)
    if columns != Columns() and found.layout != "parquet files":
        raise DataError(
            f"{folder}: has {found.layout}, which have no columns; remove `image` and `label` "
            "from [data]"
        )
    counts = ", ".join(
        f"{split} from {_place(files, folder)}" for split, files in found.files.items()
    )
    return replace(found, notes=[f"{folder}: {found.layout}, {counts}", *found.notes])


def _look(place: Path, columns: Columns) -> FolderSource | None:
    return find_parquet(place, columns) or find_cifar(place) or find_image_files(place)


def _look_below(folder: Path, columns: Columns) -> FolderSource:
    """Look in the subfolders, such as ``data`` of a checkout of the hub."""
    found = {place: source for place in folders(folder) if (source := _look(place, columns))}
    if len(found) > 1:
        raise DataError(
            f"{folder}: several subfolders have images: "
            f"{text.names(place.name for place in found)}; give one of them as the data folder"
        )
    if not found:
        raise DataError(
            f"{folder}: no images found; expected train-*.parquet and test-*.parquet, "
            "data_batch_*.bin and test_batch.bin, or train/<class>/* and test/<class>/*"
        )
    return next(iter(found.values()))


def _place(files: list[Path], folder: Path) -> str:
    """Where the files of a split are, and how many."""
    if len(files) == 1:
        return str(files[0].relative_to(folder))
    shared = Path(os.path.commonpath([min(files), max(files)]))
    return f"{len(files):,} files in {shared}"
