"""What a pruner is: it decides which waiting trial is trained further."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol


class Promotion(NamedTuple):
    """A trial that is to be trained further.

    Attributes:
        number: of the trial.
        level: the rung that it is trained to, from 0.
    """

    number: int
    level: int


class Pruner(Protocol):
    """Decides which of the trials that wait at a rung is trained further.

    A trial that is never chosen is stopped at the end of the search.
    """

    def next(self, running: Collection[int]) -> Promotion | None:
        """The trial to train further now, or None to begin a new one.

        Args:
            running: trials that are in training, and cannot be chosen.
        """
