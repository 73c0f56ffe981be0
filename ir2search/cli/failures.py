"""How a command ends with an error: one sentence on standard error, and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import platform
import sys
import time
import traceback
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import typer

from ir2search import escape
from ir2search.cli.verbosity import is_verbose
from ir2search.errors import InputError, IR2SearchError, is_out_of_memory
from ir2search.files import cache_folder, encodable
from ir2search.urls import recorded_argument

FAILED, WRONG_INPUT, STOPPED = 1, 2, 130  # exit codes
WRONG_PATH = (  # errors of the operating system that a path of the user can cause
    errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR,
    errno.EPERM, errno.EROFS,
)  # fmt: skip
LONGEST = 1000  # characters of a sentence on standard error


def end_with(error: BaseException) -> int | None:
    """Print one sentence on why a command ends.

    The traceback of an unexpected error goes to a log file, which the sentence names. With
    ``--verbose`` the traceback is shown.

    Returns:
        The exit code; None if typer handles the exception.
    """
    if isinstance(error, BrokenPipeError | typer.Exit | typer.Abort):
        return None  # a broken pipe comes from `| head`
    if isinstance(error, KeyboardInterrupt):
        complain("stopped; run the same command again to continue")
        return STOPPED
    if hasattr(error, "format_message"):
        return end_with_usage(error)
    if is_verbose():
        _print_traceback(error)
    if isinstance(error, IR2SearchError):
        complain(str(error))
        return WRONG_INPUT if isinstance(error, InputError) else FAILED
    if isinstance(error, OSError) and error.filename and error.errno in WRONG_PATH:
        complain(f"{_described(error)}; give another path, or change its permissions")
        return WRONG_INPUT
    if is_out_of_memory(error):
        complain("there is not enough memory; close other programs, or use fewer workers or images")
        return FAILED
    log = _write_log(error)
    complain(f"{_described(error)}; {f'the traceback is in {log}' if log else 'see --verbose'}")
    return FAILED


def end_with_usage(error: BaseException) -> int | None:
    """Print what is wrong with the options or arguments of a command.

    Returns:
        The exit code; None for other exceptions.
    """
    if getattr(error, "exit_code", None) != WRONG_INPUT or not hasattr(error, "format_message"):
        return None
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    message = message.replace(": Input should", ": must")
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ir2search"
    complain(f"{message[:1].lower()}{message[1:]}; see {command} --help")
    return WRONG_INPUT


class _Warnings(logging.Handler):
    """Prints warnings, one line each. Errors of trials are shown with their progress."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING and not is_verbose():
            with suppress(OSError):  # the terminal was closed; the command goes on
                complain(record.getMessage())


def show_warnings() -> None:
    """Print the package's warnings from now on."""
    logging.getLogger("ir2search").addHandler(_Warnings())


def complain(sentence: str) -> None:
    """Print a sentence on standard error, without control sequences and cut if it is long."""
    typer.echo(f"ir2search: {escape.terminal(sentence, LONGEST)}", err=True)


def _print_traceback(error: BaseException) -> None:
    for part in traceback.format_exception(error):
        for line in part.splitlines():
            typer.echo(escape.terminal(line), err=True)


def _described(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    first, *_ = str(error).splitlines() or [""]
    return f"unexpected {type(error).__name__}: {first}"


def _write_log(error: BaseException) -> Path | None:
    """Write a traceback into the user's cache folder; None if that fails."""
    file = cache_folder() / "log" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    command = " ".join(map(recorded_argument, sys.argv))
    head = f"ir2search {version('ir2search')}, Python {platform.python_version()}\n{command}\n\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = traceback.format_exception(error)
        file.write_text(encodable(head + "".join(lines)), encoding="utf-8")
    except OSError:
        return None
    return file
