"""Commands in forks of the tests' process.

A fork has already imported what commands import, which takes most of their time. `tests/cli` tests
the start of commands.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

# Modules that most commands import, or that a training, a figure or a database needs.
IMPORTED = (
    "alembic.command",
    "ir2search.cli.show_networks",
    "ir2search.cli.show_runs",
    "ir2search.information.analysis",
    "ir2search.report.page",
    "ir2search.search.session",
    "ir2search.zoo.single",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "psycopg",
    "sqlalchemy.orm",
    "torch._dynamo",
)
Work = Callable[[], object]
Done = subprocess.CompletedProcess[str]


def run_forked(work: Work, command: list[str], folder: Path) -> Done:
    """Call a function in a fork of this process, in a folder; return its output and exit code."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = fork(partial(become, work, command, folder, out, err))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Done(command, code, text_of(out), text_of(err))


class CommandServer:
    """A fork of this process that runs commands one after the other.

    A command that is refused at once takes less time than a fork. If a command ends the process,
    the next command has a new one.

    Args:
        work: runs the command in ``sys.argv``.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._streams = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._child: int | None = None
        self._connection: Connection | None = None

    def run(self, command: list[str], folder: Path) -> Done:
        """Run a command in a folder; return its output and exit code."""
        connection = self._connection or self._start()
        for stream in self._streams:
            stream.seek(0)
            stream.truncate()
        connection.send((command, folder))
        try:
            code = connection.recv()
        except (EOFError, ConnectionResetError):
            code = self._end()
        return Done(command, code, *map(text_of, self._streams))

    def close(self) -> None:
        """End the process."""
        self._end()
        for stream in self._streams:
            stream.close()

    def _end(self) -> int:
        """End the process, if there is one; return its exit code."""
        if self._child is None or self._connection is None:
            return 0
        self._connection.close()
        self._connection = None
        child, self._child = self._child, None
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _start(self) -> Connection:
        self._connection, theirs = multiprocessing.Pipe()
        self._child = fork(partial(self._serve, self._connection, theirs))
        theirs.close()
        return self._connection

    def _serve(self, ours: Connection, connection: Connection) -> None:
        ours.close()
        _redirect(*self._streams)
        while True:
            try:
                command, folder = connection.recv()
            except EOFError:
                return
            os.chdir(folder)
            code = _run(self._work, command)
            logger = logging.getLogger("ir2search")
            logger.handlers.clear()  # each command adds its own
            logger.setLevel(logging.NOTSET)
            connection.send(code)


def fork(work: Work) -> int:
    """Call a function in a fork that never returns; return the process's number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads: those of pytest do no harm
        for module in IMPORTED:
            importlib.import_module(module)
        importlib.import_module("ir2search.cli.app").commands()
        child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(70)


def become(work: Work, command: list[str], folder: Path, out: BinaryIO, err: BinaryIO) -> None:
    """Turn this process into a command, which writes to these files."""
    os.chdir(folder)
    _redirect(out, err)
    os._exit(_run(work, command))


def _redirect(out: BinaryIO, err: BinaryIO) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)


def _run(work: Work, command: list[str]) -> int:
    """The exit code of a command."""
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.argv = command
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def text_of(stream: BinaryIO) -> str:
    """What is in a file; its position, which a fork shares, stays where it is."""
    return os.pread(stream.fileno(), os.fstat(stream.fileno()).st_size, 0).decode()
