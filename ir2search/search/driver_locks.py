"""Which driver has which trial, where several drivers work on one study.

Drivers share the run's folder and take turns by a lock in it: in its turn a driver reads what the
others did, decides what to train, and marks those trials as its own. Each also holds a lock of its
own for as long as it lives. The operating system drops a lock when its process ends, however it
ends, so that a trial of a dead driver is known to be free at once, and by no clock.
"""

from __future__ import annotations

import os
import platform
import secrets
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.trial import Trial

from ir2search.runs.records import Recorded, write_record


class DriverLocks:
    """One driver's claims, held while it is entered.

    Args:
        folder: the run's.
        shared: whether there may be other drivers; without, every trial is free for this one.
    """

    def __init__(self, folder: Path, *, shared: bool) -> None:
        self.shared = shared
        self.name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder / "drivers"
        self._deciding = FileLock(folder / ".turn")
        self._finishing = FileLock(folder / ".finish")
        self._held = ExitStack()

    def __enter__(self) -> DriverLocks:
        if self.shared:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(FileLock(self._folder / self.name))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def deciding(self) -> AbstractContextManager[object]:
        """Keep other drivers from deciding anything meanwhile."""
        return self._deciding if self.shared else nullcontext()

    def finishing(self) -> AbstractContextManager[object]:
        """Keep other drivers from finishing the study meanwhile; they still take their turns."""
        return self._finishing if self.shared else nullcontext()

    def take(self, trial: Trial) -> None:
        """Mark a trial as this driver's."""
        if self.shared:
            write_record(trial, Recorded(driver=self.name))

    def release(self, trial: Trial) -> None:
        """Leave a trial to whoever takes it."""
        if self.shared:
            write_record(trial, Recorded(driver=""))

    def is_free(self, driver: str | None) -> bool:
        """Whether a trial that this driver had can be taken: it had none, or its process ended."""
        return not self.shared or not driver or not self._lives(driver)

    def _lives(self, name: str) -> bool:
        if name == self.name:
            return True
        try:
            with FileLock(self._folder / name, timeout=0):
                return False
        except Timeout:
            return True
