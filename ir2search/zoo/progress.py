"""The progress of the training of one network, as a bar and lines."""

from __future__ import annotations

import time
from pathlib import Path

from ir2search import text
from ir2search.bars import Bars, left
from ir2search.space import Candidate
from ir2search.training import EpochResult
from ir2search.training.recipe import Recipe
from ir2search.zoo.observer import TrainingObserver


class TrainingProgress(Bars, TrainingObserver):
    """A bar for the training of one network, and a line for each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = 0
        self.first: tuple[float, float] | None = None  # epochs and time at the first step

    def on_training(self, folder: Path, candidate: Candidate, recipe: Recipe) -> None:
        title = f"{candidate.backbone} {candidate.depth}: epochs"
        self.epochs = recipe.total_epochs
        self.update(self.task, title=title, total=self.epochs)

    def on_training_step(self, progress: float) -> None:
        seconds = self._seconds_left(progress)
        self.update(self.task, completed=progress, left=seconds)
        if self.take_line_turn():
            self.say(f"{progress:.1f} of {text.counted(self.epochs, 'epoch')}{left(seconds)}")

    def _seconds_left(self, progress: float) -> float | None:
        if self.first is None:
            self.first = progress, time.monotonic()
        done, seconds = progress - self.first[0], time.monotonic() - self.first[1]
        return seconds / done * (self.epochs - progress) if done > 0 else None

    def on_training_epoch(self, result: EpochResult) -> None:
        self.say(f"epoch {result.epoch}{described(result)} · {result.seconds:.1f} s")


def described(result: EpochResult, digits: int = 3) -> str:
    """The accuracy of an epoch, if it was validated, and its loss: " · 93.1% · loss 0.251"."""
    accuracy = result.validation_accuracy
    shown = "" if accuracy is None else f" · {text.percent(accuracy)}"
    return f"{shown} · loss {result.loss:.{digits}f}"
