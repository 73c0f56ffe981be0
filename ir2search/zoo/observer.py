"""The observer to which the training of one network reports what happens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ir2search.space import Candidate
from ir2search.training import EpochResult
from ir2search.training.recipe import Recipe

if TYPE_CHECKING:
    from ir2search.zoo.single import TrainedNetwork


class TrainingObserver:
    """Is told what happens in `ir2search.train_network`. Override the methods that you need."""

    def on_training(self, folder: Path, candidate: Candidate, recipe: Recipe) -> None:
        """The data is ready, and the training starts or continues in ``folder``."""

    def on_training_step(self, progress: float) -> None:
        """A step begins; ``progress`` is the number of epochs so far, with a fraction."""

    def on_training_epoch(self, result: EpochResult) -> None:
        """An epoch is trained and saved."""

    def on_trained(self, trained: TrainedNetwork) -> None:
        """The network is trained and tested."""

    def on_training_end(self) -> None:
        """The work of this process ends, also if it was interrupted or failed."""
