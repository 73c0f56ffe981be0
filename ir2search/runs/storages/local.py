"""Storages in the run's folder: an Optuna journal, or the SQLite file of an older run."""

from __future__ import annotations

import sqlite3
import weakref
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ir2search.errors import RunError
from ir2search.files import check_links

PATIENCE = 300.0  # seconds to wait for a process that has locked the SQLite file

# what Optuna raises where a line of a journal is no change that it knows
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)


def open_journal(file: Path, writes: bool) -> BaseStorage:
    """Open an Optuna journal: one line of JSON for each change, read once into memory.

    A run that writes holds the lock of its folder. So a lock or half a line that a killed process
    left behind can be removed.

    Args:
        file: the journal; made where it is missing.
        writes: whether this process alone may write to it.

    Raises:
        RunError: the journal is damaged, or no regular file of the run's folder.
    """
    check_links(file)
    if file.exists() and not file.is_file():
        raise RunError(f"{file}: is not a regular file; put the journal back as it was")
    lock = file.with_name(file.name + ".lock")
    if writes:
        lock.unlink(missing_ok=True)
        _drop_partial_line(file)
    backend = JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file)))
    try:
        return optuna.storages.JournalStorage(backend)
    except _DAMAGED as error:
        raise RunError(
            f"{file}: damaged: {error}; put it back as it was, or remove the run's folder"
        ) from None


def open_sqlite(file: Path, writes: bool) -> BaseStorage:
    """Open the SQLite file that runs had before they had a journal.

    Args:
        file: the database.
        writes: whether its version is checked, which takes a tenth of a second.

    Raises:
        RunError: the file has tables of another version of Optuna, or is no regular file of the
            run's folder.
    """
    check_links(file)
    if not file.is_file():
        raise RunError(f"{file}: is not a regular file; put the database back as it was")
    # A path is no part of the URL, where "?" and "%" have a meaning. "rw" does not create a file.
    place = f"{file.absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, timeout=PATIENCE, uri=True, check_same_thread=False)

    try:
        database = optuna.storages.RDBStorage(
            f"sqlite:///{file.name}",
            engine_kwargs={"creator": connect},
            skip_compatibility_check=not writes,
        )
    except RuntimeError as error:
        reason, *_ = str(error).splitlines()
        raise RunError(f"{file}: cannot be read with this version of Optuna: {reason}") from None
    weakref.finalize(database, database.engine.dispose)
    return optuna.storages.get_storage(database)


def _drop_partial_line(file: Path) -> None:
    """Cut off a last line without an end: its write was interrupted, so its change was not made."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("rb+") as journal:
            journal.truncate(whole)
