"""Trackers by name, as the option ``--log`` gives them."""

from __future__ import annotations

from ir2search import text
from ir2search.errors import InputError
from ir2search.trackers.base import Tracker
from ir2search.trackers.mlflow import MLflow
from ir2search.trackers.tensorboard import TensorBoard
from ir2search.trackers.wandb import WandB

TRACKERS: dict[str, type[Tracker]] = {each.name: each for each in (TensorBoard, MLflow, WandB)}


def named_tracker(name: str) -> Tracker:
    """The tracker of a name, with its own settings.

    Args:
        name: ``"tensorboard"``, ``"mlflow"`` or ``"wandb"``.

    Raises:
        InputError: there is no such tracker.
        MissingExtraError: its package is not installed.
    """
    if name not in TRACKERS:
        raise InputError(f"no tracker {name!r}; {text.suggest(name, TRACKERS)}")
    return TRACKERS[name]()
