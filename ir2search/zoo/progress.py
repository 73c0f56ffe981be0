"""The progress of the training of one network, as a bar and lines."""

from __future__ import annotations

from pathlib import Path

from ir2search import text
from ir2search.bars import Bars
from ir2search.space import Candidate
from ir2search.training import EpochResult
from ir2search.training.recipe import Recipe
from ir2search.zoo.observer import TrainingObserver


class TrainingProgress(Bars, TrainingObserver):
    """A bar for the training of one network, and a line for each epoch."""

    def on_training(self, folder: Path, candidate: Candidate, recipe: Recipe) -> None:
        title = f"{candidate.backbone} {candidate.depth}: epochs"
        self.update(self.task, title=title, total=recipe.total_epochs)

    def on_training_step(self, progress: float) -> None:
        self.update(self.task, completed=progress)

    def on_training_epoch(self, result: EpochResult) -> None:
        self.say(f"epoch {result.epoch}{described(result)} · {result.seconds:.1f} s")


def described(result: EpochResult, digits: int = 3) -> str:
    """The accuracy of an epoch, if it was validated, and its loss: " · 93.1% · loss 0.251"."""
    accuracy = result.validation_accuracy
    shown = "" if accuracy is None else f" · {text.percent(accuracy)}"
    return f"{shown} · loss {result.loss:.{digits}f}"
