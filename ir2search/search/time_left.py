"""How long a search will still take."""

from __future__ import annotations

import time

from ir2search.search.epochs import confirmed_epochs, expected_epochs
from ir2search.study.schema import Study


class TimeLeft:
    """The time that a search still takes, from the epochs trained since it was started.

    Args:
        study: the study, whose candidates are trained for some epochs each.
    """

    def __init__(self, study: Study) -> None:
        self._per_trial = expected_epochs(study) / study.trials
        self._per_member = confirmed_epochs(study)
        self._trials = study.trials
        self._began = time.monotonic()
        self._progress: dict[int, float] = {}  # of the latest training of each trial
        self._ended: set[int] = set()  # trials whose search has ended
        self._trained = 0.0  # epochs since the beginning
        self._confirmed = 0.0  # of these, epochs after the search

    def step(self, number: int, progress: float) -> None:
        """A training has come to ``progress`` epochs."""
        before = self._progress.get(number)
        if before is None:
            # Its first report. More than an epoch: it continues, and the epochs of its checkpoint
            # took no time now.
            before = 0.0 if progress <= 1 else progress
        done = progress - before if progress >= before else progress  # from a further seed
        self._progress[number] = progress
        self._trained += done
        if number in self._ended:
            self._confirmed += done

    def end(self, number: int) -> None:
        """The search has ended for a trial: it is trained, stopped, or waits."""
        self._ended.add(number)

    def seconds(self, begun: int, tested: int) -> float | None:
        """The seconds left; None before the first epoch has begun.

        Args:
            begun: number of trials for which the search has ended.
            tested: number of networks that would be tested and confirmed now.
        """
        if not self._trained:
            return None
        running = sum(p for number, p in self._progress.items() if number not in self._ended)
        search = max(0.0, self._per_trial * (self._trials - begun) - running)
        confirm = max(0.0, self._per_member * tested - self._confirmed)
        return (search + confirm) * (time.monotonic() - self._began) / self._trained
