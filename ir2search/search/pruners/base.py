"""What a pruner is: it decides which waiting trial is trained further."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol


class Promotion(NamedTuple):
    """A trial to train further, and the rung to which it is trained."""

    number: int
    level: int  # of the rung, from 0


class Pruner(Protocol):
    """Decides which of the trials that wait at a rung is trained further.

    A trial that is never chosen is stopped at the end of the search.
    """

    def next(self, running: Collection[int]) -> Promotion | None:
        """The trial to train further now, or None to begin a new one.

        Args:
            running: trials that are in training, and cannot be chosen.
        """
