"""When a study ends on its own."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np

from ir2search.study.sections import Stop


def limit_reached(
    stop: Stop,
    seconds: float,
    epochs: int,
    begun: Sequence[int],
    finished: Sequence[tuple[int, tuple[float, ...]]],
) -> str | None:
    """A sentence on the limit that is met; None where none is.

    Args:
        stop: the study's limits.
        seconds: since the session began.
        epochs: spent so far.
        begun: numbers of the trials that were trained, in full or in part.
        finished: numbers of those that were trained in full, and their objectives, each to be
            made small.
    """
    if stop.hours is not None and seconds >= 3600 * stop.hours:
        return f"{stop.hours:g} hours have passed"
    if stop.epochs is not None and epochs >= stop.epochs:
        return f"{epochs} epochs are spent"
    if stop.stale_trials is not None and stale(begun, finished) >= stop.stale_trials:
        return f"the last {stop.stale_trials} candidates brought nothing to the front"
    return None


def stale(begun: Sequence[int], finished: Sequence[tuple[int, tuple[float, ...]]]) -> int:
    """How many trials were begun since the newest member of the front; 0 without a front."""
    if not finished:
        return 0
    on_front = moocore.is_nondominated(np.array([values for _, values in finished]))
    newest = max(number for (number, _), kept in zip(finished, on_front, strict=True) if kept)
    return sum(number > newest for number in begun)
