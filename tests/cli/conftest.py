from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ir2search(tmp_path: Path) -> Command:
    """Run the command in an empty folder of the test's own.

    In a fork of this process, which has torch already: to import it anew takes most of the time
    that most commands need. What it costs to start the command is for `test_imports`.
    """

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = ["ir2search", *map(str, arguments)]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = _fork(command, tmp_path, out, err)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = [_text(stream) for stream in (out, err)]
        return subprocess.CompletedProcess(command, code, *said)

    return call


def _fork(command: list[str], folder: Path, out: BinaryIO, err: BinaryIO) -> int:
    import torch  # noqa: F401

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads only read what pytest's workers are told
        child = os.fork()
    if child:
        return child
    try:
        os.chdir(folder)
        _become(command, out, err)
    finally:
        os._exit(70)


def _become(command: list[str], out: BinaryIO, err: BinaryIO) -> NoReturn:
    from ir2search.cli.app import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.argv = command
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode()
