"""Follow trainings in other processes by what they write."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ir2search.runs.layout import CURVE
from ir2search.search.executors.job import Listener, TrainingJob
from ir2search.training import EpochResult


class Curves:
    """Tells a listener of epochs as they appear on disk.

    No pipe or queue is shared with a worker, so that one that is killed leaves nothing half said.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._told: dict[Path, int] = {}  # bytes of a curve

    def follow(self, jobs: Iterable[TrainingJob]) -> None:
        """Tell of the newest epoch of each job that has a new one."""
        for job in jobs:
            file = job.folder / CURVE
            size = file.stat().st_size if file.exists() else 0
            if size and size != self._told.get(file):
                self._told[file] = size
                newest = EpochResult(
                    **json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
                )
                self._listener.on_step(job.number, newest.epoch)
                self._listener.on_epoch(job.number, newest)
