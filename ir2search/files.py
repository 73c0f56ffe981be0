"""Files: atomic writes, a lock on a folder, JSON, the user's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ir2search.errors import RunError


def cache_folder() -> Path:
    """The user's folder for compiled kernels and logs.

    Returns:
        ``$XDG_CACHE_HOME/ir2search``; without that variable ``~/.cache/ir2search``.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "ir2search")


@contextmanager
def locked(folder: Path, patience: float = 0) -> Iterator[None]:
    """Lock a folder against other processes; create it if it is missing.

    Args:
        folder: the folder.
        patience: seconds to wait while another process has the lock.

    Raises:
        RunError: another process still has the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise RunError(f"{folder}: another process works in it; wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


def read_json(file: Path) -> Any:
    """Read a JSON file of a run's folder.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _parsed(file, json.loads)


def read_json_lines(file: Path) -> list[Any]:
    """Read a file with one JSON value in each line, such as ``curve.jsonl``.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _parsed(file, lambda text: [json.loads(line) for line in text.splitlines()])


def _parsed(file: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: cannot be read: {error}; restore or remove it") from None


def write_json(file: Path, value: object) -> None:
    """Write JSON; if the process is killed, the old file or the new one is left, never a part."""
    write_text(file, json.dumps(value, indent=2) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write text; if the process is killed, the old file or the new one is left, never a part."""
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Write bytes; if the process is killed, the old file or the new one is left, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    partial.write_bytes(content)
    partial.replace(file)
