"""Commands that run beside a test, which may stop and kill them."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from forks import Done, become, fork, text_of

WAITING = 200  # seconds


class Background:
    """A command in a fork of this process. Like one in a terminal, it has a process group.

    Args:
        arguments: of the command ``ir2search``.
        folder: where it runs.
    """

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self._command = ["ir2search", *arguments]
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._code: int | None = None
        self.pid = fork(partial(self._run, folder))

    def poll(self) -> int | None:
        """The exit code; None while the command runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the command, but not to the processes that it has started."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to the whole group, as a terminal does for Ctrl-C."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill the command, but not the processes that it has started, and wait for its end."""
        self.send_signal(signal.SIGKILL)
        self.ended()

    def close(self) -> None:
        """Kill the command if it runs, and forget its output."""
        self.kill()
        for stream in (self._out, self._err):
            stream.close()

    def shown(self) -> str:
        """Standard output so far."""
        return text_of(self._out)

    def ended(self) -> Done:
        """Wait for the end; return the output and the exit code."""
        wait_for(lambda: self.poll() is not None)
        assert self._code is not None
        return Done(self._command, self._code, self.shown(), text_of(self._err))

    def _run(self, folder: Path) -> None:
        from ir2search.cli.app import main

        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, handler)
        become(main, self._command, folder, self._out, self._err)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after some minutes."""
    end = time.monotonic() + WAITING
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
