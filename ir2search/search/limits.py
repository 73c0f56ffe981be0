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
    """The limit that is reached, in words; None where none is.

    Args:
        stop: the study's limits.
        seconds: since the session began.
        epochs: trained so far.
        begun: numbers of the trials that were trained, wholly or in part.
        finished: numbers of the trials that were trained wholly, with their objectives, each to
            be minimised.
    """
    if stop.hours is not None and seconds >= 3600 * stop.hours:
        return f"{stop.hours:g} hours have passed"
    if stop.epochs is not None and epochs >= stop.epochs:
        return f"{epochs} epochs have been trained"
    if stop.stale_trials is not None and stale(begun, finished) >= stop.stale_trials:
        return f"none of the last {stop.stale_trials} candidates joined the front"
    return None


def stale(begun: Sequence[int], finished: Sequence[tuple[int, tuple[float, ...]]]) -> int:
    """Number of trials since the latest one that is on the front; 0 without a front.

    Args:
        begun: numbers of the trials that were trained, wholly or in part.
        finished: numbers of the trials that were trained wholly, with their objectives, each to
            be minimised.
    """
    if not finished:
        return 0
    on_front = moocore.is_nondominated(np.array([values for _, values in finished]))
    newest = max(number for (number, _), kept in zip(finished, on_front, strict=True) if kept)
    return sum(number > newest for number in begun)
