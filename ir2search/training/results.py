"""What a training gives: a learning curve, and which epoch of it is kept. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ir2search.validation import Share

FEW_PIXELS = 0.001  # share of the pixels; their restriction changes nothing but the time


@dataclass(frozen=True)
class EpochResult:
    """One point of a learning curve.

    Attributes:
        epoch: number of epochs trained, from 1.
        loss: mean over the training steps.
        validation_accuracy: top-1, from 0 to 1; None if the recipe does not validate this epoch.
        restricted_share: mean share of pixels that restriction set to 0; 0 if it is off.
        lr: learning rate of the last step.
        seconds: time of the epoch, including validation.
    """

    epoch: int
    loss: float
    validation_accuracy: Share | None
    restricted_share: Share
    lr: float
    seconds: float

    @property
    def restricts_few_pixels(self) -> bool:
        """Whether restriction blanks so few pixels that it only costs the time of second passes."""
        return 0 < self.restricted_share < FEW_PIXELS


@dataclass(frozen=True)
class TrainingResult:
    """A finished training: its learning curve, and the epoch whose weights are kept."""

    curve: tuple[EpochResult, ...]

    @property
    def best(self) -> EpochResult:
        """The epoch with the highest validation accuracy; the latest of equal ones."""
        validated = (row for row in self.curve if row.validation_accuracy is not None)
        return max(validated, key=lambda row: (row.validation_accuracy, row.epoch))

    @property
    def accuracy(self) -> float:
        """The highest validation accuracy, from 0 to 1."""
        highest = self.best.validation_accuracy
        assert highest is not None
        return highest

    @property
    def seconds(self) -> float:
        """Time of all epochs."""
        return sum(row.seconds for row in self.curve)
