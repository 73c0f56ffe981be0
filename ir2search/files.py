"""Files of a run: written whole or not at all, by one process at a time, and read with care."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ir2search.errors import RunError


@contextmanager
def locked(folder: Path, patience: float = 0) -> Iterator[None]:
    """Keep other processes from working in the same folder.

    Raises:
        RunError: one does already, and did not end within so many seconds of patience.
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
    """The value of a JSON file of a run's folder.

    Raises:
        RunError: it is missing or damaged.
    """
    return _parsed(file, json.loads)


def read_json_lines(file: Path) -> list[Any]:
    """The values of a file with one JSON value a line, such as ``curve.jsonl``.

    Raises:
        RunError: it is missing or damaged.
    """
    return _parsed(file, lambda text: [json.loads(line) for line in text.splitlines()])


def _parsed(file: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: damaged: {error}; put it back as it was, or remove it") from None


def write_json(file: Path, value: object) -> None:
    """Write JSON so that a kill at any moment leaves the old file or the new one."""
    write_text(file, json.dumps(value, indent=2) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write text so that a kill at any moment leaves the old file or the new one."""
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    partial.write_bytes(content)
    partial.replace(file)
