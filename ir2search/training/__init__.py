"""Training of one candidate: the recipe, the loop, its checkpoints."""

from ir2search.training.catalogue import named_recipe, recipes
from ir2search.training.checkpoint import load_network
from ir2search.training.distillation import Distillation, load_teacher
from ir2search.training.loop import (
    EpochResult,
    Interrupted,
    TrainingResult,
    accuracy,
    pick_device,
    train,
)
from ir2search.training.recipe import Recipe
from ir2search.training.single import TrainedNetwork, train_network

__all__ = [
    "Distillation",
    "EpochResult",
    "Interrupted",
    "Recipe",
    "TrainedNetwork",
    "TrainingResult",
    "accuracy",
    "load_network",
    "load_teacher",
    "named_recipe",
    "pick_device",
    "recipes",
    "train",
    "train_network",
]
