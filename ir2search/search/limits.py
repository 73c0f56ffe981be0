"""When a study ends on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import moocore
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

_Count = Annotated[int, Field(strict=True, ge=1)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Stop:
    """The ``[stop]`` section of a study file: the search ends at the first limit it meets.

    Limits are looked at between trainings, so that the last one still ends.

    Attributes:
        hours: of one session, on the clock.
        epochs: spent on all trials of all sessions, and on the backbones that they share.
        stale_trials: so many candidates in a row of which none is on the front: the hypervolume
            has not grown since.
    """

    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    epochs: _Count | None = None
    stale_trials: _Count | None = None

    def reason(
        self,
        seconds: float,
        epochs: int,
        begun: Sequence[int],
        finished: Sequence[tuple[int, tuple[float, ...]]],
    ) -> str | None:
        """A sentence on the limit that is met; None where none is.

        Args:
            seconds: since the session began.
            epochs: spent so far.
            begun: numbers of the trials that were trained, in full or in part.
            finished: numbers of those that were trained in full, and their objectives, each to be
                made small.
        """
        if self.hours is not None and seconds >= 3600 * self.hours:
            return f"{self.hours:g} hours have passed"
        if self.epochs is not None and epochs >= self.epochs:
            return f"{epochs} epochs are spent"
        if self.stale_trials is not None and stale(begun, finished) >= self.stale_trials:
            return f"the last {self.stale_trials} candidates brought nothing to the front"
        return None


def stale(begun: Sequence[int], finished: Sequence[tuple[int, tuple[float, ...]]]) -> int:
    """How many trials were begun since the newest member of the front; 0 without a front."""
    if not finished:
        return 0
    on_front = moocore.is_nondominated(np.array([values for _, values in finished]))
    newest = max(number for (number, _), kept in zip(finished, on_front, strict=True) if kept)
    return sum(number > newest for number in begun)
