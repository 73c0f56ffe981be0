"""Follow trainings in other processes by reading their learning curves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ir2search.runs.curves import read_curve
from ir2search.runs.layout import CURVE
from ir2search.search.executors.job import TrainingJob
from ir2search.search.observer import RunObserver


class CurveFollower:
    """Tells an observer about epochs when they appear on disk.

    There is no pipe or queue between driver and worker: a killed worker could leave half a message.
    """

    def __init__(self, observer: RunObserver) -> None:
        self._observer = observer
        self._sizes: dict[Path, int] = {}  # bytes of each curve when it was last read

    def follow(self, jobs: Iterable[TrainingJob]) -> None:
        """Report the newest epoch of each job whose curve has grown."""
        for job in jobs:
            file = job.folder / CURVE
            size = file.stat().st_size if file.exists() else 0
            if size and size != self._sizes.get(file):
                self._sizes[file] = size
                newest = read_curve(file)[-1]
                self._observer.on_step(job.number, newest.epoch)
                self._observer.on_epoch(job.number, newest)
