"""The traceback of a failed trial: it is kept in the trial's folder and in the log."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from ir2search.errors import InputError, is_out_of_memory
from ir2search.files import write_text
from ir2search.runs.layout import ERROR_FILE

_logger = logging.getLogger(__name__)


def failure_reason(error: Exception) -> str:
    """Why a trial fails with this error, in one line."""
    text = str(error).splitlines()[0] if str(error) else ""
    if is_out_of_memory(error):
        return text if text.startswith("out of memory") else f"out of memory: {text}"
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def full_traceback(error: Exception) -> str:
    """The traceback of an error and of its causes."""
    return "".join(traceback.format_exception(error))


def record_failure(run: Path, folder: Path, reason: str, details: str | None) -> str:
    """Log a failure, and keep its traceback, if any, as ``error.txt`` in the training's folder.

    Returns:
        The reason, and the file's name if there is one.
    """
    if details is None:
        _logger.error("%s: %s", folder, reason)
        return reason
    file = folder / ERROR_FILE
    write_text(file, details)
    _logger.error("%s: %s\n%s", folder, reason, details)
    return f"{reason}; see {file.relative_to(run).as_posix()}"
