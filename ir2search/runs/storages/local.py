"""Storages in the run's folder: an Optuna journal, or the SQLite file of an older run."""

from __future__ import annotations

import sqlite3
import weakref
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ir2search.errors import RunError, first_line
from ir2search.files import check_links, check_regular

LOCK_TIMEOUT = 300.0  # seconds to wait for a process that has locked the SQLite file
LARGEST_JOURNAL = 1 << 30  # bytes; a trial takes about 2 KB
# what Optuna raises for a line of a journal that it cannot read
_DAMAGED = (
    ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError,
    ArithmeticError,
)  # fmt: skip


def open_journal(file: Path, writes: bool) -> BaseStorage:
    """Open an Optuna journal: one line of JSON for each change, read once into memory.

    A process that writes holds the lock of the run's folder. It can therefore remove a lock or a
    partial line that a killed process has left.

    Args:
        file: the journal; made if it is missing.
        writes: whether this process writes to it.

    Raises:
        RunError: the journal is damaged, too large, or no regular file of the run's folder.
    """
    check_links(file)
    if file.exists():
        try:
            check_regular(file, LARGEST_JOURNAL)
        except OSError as error:
            raise RunError(f"{file}: {error.strerror}; put the journal back as it was") from None
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
    """Open the SQLite file of an older run.

    Args:
        file: the database.
        writes: whether this process writes to it; this checks its version and takes 0.1 s.

    Raises:
        RunError: the file has tables of another version of Optuna, or is no regular file of the
            run's folder.
    """
    check_links(file)
    if not file.is_file():
        raise RunError(f"{file}: is not a regular file; put the database back as it was")
    # The path stays out of the URL, where "?" and "%" have a meaning. "rw" does not create a file.
    place = f"{file.absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, timeout=LOCK_TIMEOUT, uri=True, check_same_thread=False)

    try:
        database = optuna.storages.RDBStorage(
            f"sqlite:///{file.name}",
            engine_kwargs={"creator": connect},
            skip_compatibility_check=not writes,
            skip_table_creation=True,
        )
    except RuntimeError as error:
        reason = first_line(error)
        raise RunError(f"{file}: cannot be read with this version of Optuna: {reason}") from None
    weakref.finalize(database, database.engine.dispose)
    return optuna.storages.get_storage(database)


def _drop_partial_line(file: Path) -> None:
    """Remove an incomplete last line: its write was interrupted."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("rb+") as journal:
            journal.truncate(whole)
