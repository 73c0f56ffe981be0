"""Training of one candidate: the recipe, the loop, its checkpoints."""

from ir2search.training.checkpoint import load_network
from ir2search.training.loop import (
    EpochResult,
    Interrupted,
    TrainingResult,
    accuracy,
    pick_device,
    train,
)
from ir2search.training.recipe import Recipe

__all__ = [
    "EpochResult",
    "Interrupted",
    "Recipe",
    "TrainingResult",
    "accuracy",
    "load_network",
    "pick_device",
    "train",
]
