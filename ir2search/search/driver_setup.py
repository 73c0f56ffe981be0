"""What a driver works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ir2search.search.driver_locks import DriverLocks
from ir2search.search.executors import Executor, TrainingContext
from ir2search.search.observer import RunObserver


@dataclass(frozen=True)
class DriverSetup:
    """What a driver works with, besides the study and its trials.

    Attributes:
        folder: of the run.
        context: what all trainings have in common.
        device: on which the front is tested.
        executor: trains the candidates.
        locks: tell which driver works on which trial.
        observer: is told what happens.
        should_stop: called between trainings; returns True to stop.
    """

    folder: Path
    context: TrainingContext
    device: torch.device
    executor: Executor
    locks: DriverLocks
    observer: RunObserver
    should_stop: Callable[[], bool]
