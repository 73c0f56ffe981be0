"""The traceback of a failed trial: it is kept in the trial's folder and in the log."""

from __future__ import annotations

import errno
import logging
import os
import traceback
from pathlib import Path

from ir2search.errors import InputError, is_out_of_memory
from ir2search.files import encodable, write_text
from ir2search.runs.layout import ERROR_FILE

_CODES = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOENT, errno.EACCES,
    errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
)  # fmt: skip
# Parts of messages of torch and CUDA, in lower case: a fault of this machine, not of the network.
OF_THE_MACHINE = (
    "dataloader worker", "shared memory", "can't start new thread", "cuda-capable device",
    "cuda error", "ecc error", *(os.strerror(code).lower() for code in _CODES),
)  # fmt: skip

_logger = logging.getLogger(__name__)


def failure_reason(error: Exception) -> str:
    """Why a trial fails with this error, in one line."""
    text = encodable(str(error)).splitlines()[0] if str(error) else ""
    if is_out_of_memory(error):
        return text if text.startswith("out of memory") else f"out of memory: {text}"
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_of_machine(error: Exception) -> bool:
    """Whether an error of torch is a fault of this machine, such as a full disk.

    Torch raises a RuntimeError for most of them, so the message decides.
    """
    message = str(error).lower() if isinstance(error, RuntimeError) else ""
    return not is_out_of_memory(error) and any(words in message for words in OF_THE_MACHINE)


def full_traceback(error: Exception) -> str:
    """The traceback of an error and of its causes, in characters that UTF-8 has."""
    return encodable("".join(traceback.format_exception(error)))


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
