"""Directories of a data folder, without hidden entries."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ir2search.errors import DataError

NOT_DATA = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")  # written by desktops and servers


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a directory, sorted by name, without those that `is_hidden`.

    Raises:
        DataError: the directory cannot be read, or a name in it is not UTF-8.
    """
    with _readable(folder), os.scandir(folder) as found:
        listed = sorted(found, key=lambda entry: entry.name)
    kept = [entry for entry in listed if not is_hidden(entry.name)]
    for entry in kept:
        if entry.name.encode("utf-8", "ignore").decode("utf-8") != entry.name:
            raise DataError(f"{folder}: the name {entry.name!r} is not UTF-8; rename it")
    return kept


def is_hidden(name: str) -> bool:
    """Whether a name begins with a dot, or is a file of the desktop such as Thumbs.db."""
    return name.startswith(".") or name.lower() in NOT_DATA


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory, or a link to one."""
    with _readable(entry.path):
        return entry.is_dir()


def is_regular(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file, or a link to one."""
    with _readable(entry.path):
        return entry.is_file()


def folders(place: Path) -> list[Path]:
    """Directories in a directory, without hidden ones; links are followed."""
    return [Path(entry) for entry in entries(place) if is_folder(entry)]


def named(place: Path, names: tuple[str, ...]) -> list[Path]:
    """Directories with one of these names in any case, in the order of ``names``.

    Raises:
        DataError: two directories have the same name up to case.
    """
    found: dict[str, Path] = {}
    for path in folders(place):
        key = path.name.lower()
        if key in names and key in found:
            raise DataError(
                f"{place}: has both {found[key].name} and {path.name}; remove or rename one"
            )
        found[key] = path
    return [found[name] for name in names if name in found]


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): macOS writes accents decomposed."""
    return unicodedata.normalize("NFC", name)


@contextmanager
def _readable(path: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; change its permissions, or remove it"
        ) from None
