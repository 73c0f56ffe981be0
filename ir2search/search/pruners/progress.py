"""The results of trials at the rungs."""

from __future__ import annotations

import moocore
import numpy as np


class Progress:
    """Which trial reached which rung, with which values of the objectives.

    Args:
        levels: epochs of each rung; the last level is a whole training.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        self.levels = levels
        self._results: list[dict[int, tuple[float, ...]]] = [{} for _ in levels]
        self._ended: set[int] = set()

    def record(self, number: int, level: int, values: tuple[float, ...]) -> None:
        """Note the objectives of a trial at a level, each to be minimised; levels are from 0."""
        self._results[level][number] = values

    def end(self, number: int) -> None:
        """Note that a trial will not be trained further; its results still count."""
        self._ended.add(number)

    def has(self, number: int, level: int) -> bool:
        """Whether a trial reached a level."""
        return number in self._results[level]

    def at(self, level: int) -> dict[int, tuple[float, ...]]:
        """The values of the trials that reached a level, by trial."""
        return self._results[level]

    def curve(self, number: int) -> dict[int, tuple[float, ...]]:
        """The values of a trial, by level."""
        return {
            level: results[number]
            for level, results in enumerate(self._results)
            if number in results
        }

    def front(self) -> set[int]:
        """Trials with values, at any level, that no other values dominate."""
        found = [each for results in self._results for each in results.items()]
        if not found:
            return set()
        kept = moocore.is_nondominated(np.array([values for _, values in found]))
        return {number for (number, _), keep in zip(found, kept, strict=True) if keep}

    def measured(self) -> list[int]:
        """Trials that reached any level, in ascending order."""
        return sorted(set().union(*self._results))

    def waiting(self) -> list[int]:
        """Trials that may be trained further, in ascending order."""
        reached = set().union(*self._results[:-1])
        return sorted(reached - self._results[-1].keys() - self._ended)

    def finished(self) -> list[tuple[int, tuple[float, ...]]]:
        """Trials that reached the last level, with their values there."""
        return list(self._results[-1].items())

    def may_go_on(self, number: int, level: int) -> bool:
        """Whether a trial that reached a level may be trained to the next one."""
        return number not in self._results[level + 1] and number not in self._ended
