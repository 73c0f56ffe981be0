"""Storages in the run's folder: an Optuna journal, or the SQLite file of an older run."""

from __future__ import annotations

import weakref
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ir2search.errors import RunError


def open_journal(file: Path, writes: bool) -> BaseStorage:
    """Open an Optuna journal: one line of JSON for each change, read once into memory.

    A run that writes holds the lock of its folder. So a lock or half a line that a killed process
    left behind can be removed.

    Args:
        file: the journal; made where it is missing.
        writes: whether this process alone may write to it.

    Raises:
        RunError: the journal is damaged.
    """
    lock = file.with_name(file.name + ".lock")
    if writes:
        lock.unlink(missing_ok=True)
        _drop_partial_line(file)
    backend = JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file)))
    try:
        return optuna.storages.JournalStorage(backend)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{file}: damaged: {error}; put it back as it was, or remove the run's folder"
        ) from None


def open_sqlite(file: Path, writes: bool) -> BaseStorage:
    """Open the SQLite file that runs had before they had a journal.

    Args:
        file: the database.
        writes: whether its version is checked, which takes a tenth of a second.
    """
    database = optuna.storages.RDBStorage(f"sqlite:///{file}", skip_compatibility_check=not writes)
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
