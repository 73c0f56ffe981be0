"""The limits that end a search."""

from __future__ import annotations

import moocore
import numpy as np

from ir2search.search.pruners.progress import Progress
from ir2search.study.sections import Stop


def limit_reached(stop: Stop, seconds: float, epochs: int, progress: Progress) -> str | None:
    """The limit that is reached ``seconds`` after a session's search began, in words, or None."""
    if stop.hours is not None and seconds >= 3600 * stop.hours:
        return f"{stop.hours:g} hours have passed"
    if stop.epochs is not None and epochs >= stop.epochs:
        return f"{epochs} epochs have been trained"
    if stop.stale_trials is not None and stale(progress) >= stop.stale_trials:
        return f"none of the last {stop.stale_trials} candidates joined the front"
    return None


def stale(progress: Progress) -> int:
    """Number of trials with results since the latest trial on the front; 0 without a front."""
    finished = progress.finished()
    if not finished:
        return 0
    on_front = moocore.is_nondominated(np.array([values for _, values in finished]))
    newest = max(number for (number, _), kept in zip(finished, on_front, strict=True) if kept)
    return sum(number > newest for number in progress.measured())
