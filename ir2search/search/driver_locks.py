"""Which driver works on which trial, when several drivers share one study.

Drivers share the run's folder and take turns by a lock in it. In its turn, a driver reads what the
others have done, decides what to train next, and marks those trials with its name. Each driver also
holds a lock of its own. The operating system releases that lock when the process ends, even if it
is killed. The trials of a dead driver are therefore free at once.
"""

from __future__ import annotations

import os
import platform
import secrets
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.trial import Trial

from ir2search.files import make_folder
from ir2search.runs.layout import DECIDING_LOCK, DRIVERS, FINISHING_LOCK
from ir2search.runs.records import TrialAttributes, write_attributes


class DriverLocks:
    """The locks of one driver. Its own lock is held inside a ``with`` statement.

    Args:
        folder: the run's folder.
        shared: whether other drivers may work on the study; if not, all trials are free.
    """

    def __init__(self, folder: Path, *, shared: bool) -> None:
        self.shared = shared
        self.name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder / DRIVERS
        self._deciding = FileLock(folder / DECIDING_LOCK)
        self._finishing = FileLock(folder / FINISHING_LOCK)
        self._held = ExitStack()

    def __enter__(self) -> DriverLocks:
        if self.shared:
            make_folder(self._folder)
            self._held.enter_context(FileLock(self._folder / self.name))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def deciding(self) -> AbstractContextManager[object]:
        """A context in which no other driver decides what to train."""
        return self._deciding if self.shared else nullcontext()

    def finishing(self) -> AbstractContextManager[object]:
        """A context in which no other driver finishes the study; others may still decide."""
        return self._finishing if self.shared else nullcontext()

    def take(self, trial: Trial) -> None:
        """Mark a trial as this driver's."""
        if self.shared:
            write_attributes(trial, TrialAttributes(driver=self.name))

    def release(self, trial: Trial) -> None:
        """Remove this driver's mark from a trial."""
        if self.shared:
            write_attributes(trial, TrialAttributes(driver=""))

    def is_free(self, driver: str | None) -> bool:
        """Whether a trial with the mark of a driver may be taken; None or "" for no mark."""
        return not self.shared or not driver or not self._is_alive(driver)

    def _is_alive(self, name: str) -> bool:
        if name == self.name:
            return True
        try:
            with FileLock(self._folder / name, timeout=0):
                return False
        except Timeout:
            return True
