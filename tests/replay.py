"""An executor that replays learning curves instead of training, for tests and benchmarks.

It writes the files that a training writes and reports the same progress, so that everything around
the training can be tested: `ir2search.run(..., executor=ReplayExecutor)`. Networks keep the weights
that they are initialised with.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ir2search import Candidate
from ir2search.files import read_json_lines
from ir2search.runs.layout import BEST, CURVE
from ir2search.search.executors import ExecutorFactory, ExecutorSettings, InlineExecutor
from ir2search.space import build
from ir2search.training import EpochResult, Interrupted, TrainingResult
from ir2search.training.checkpoint import save_network

Curve = Callable[[Candidate, int, int], list[float]]


def computed_curve(candidate: Candidate, seed: int, epochs: int) -> list[float]:
    """Validation accuracies that rise with the epochs and with the network's size, plus noise."""
    generator = random.Random(seed)
    most = 1 - 0.3 / math.sqrt(candidate.depth * candidate.width) - 0.05 * candidate.threshold
    return [
        min(1.0, most * (1 - 0.6 * math.exp(-epoch / 3)) + generator.uniform(-0.02, 0.02))
        for epoch in range(1, epochs + 1)
    ]


class ReplayExecutor(InlineExecutor):
    """Replays learning curves, one job after the other.

    Args:
        settings: as for every executor.
        curve: gives the validation accuracies of a candidate, a seed and a number of epochs.
        workers: number of jobs that it takes at a time.
        weights: whether to write weights, which the test of the front reads.
    """

    def __init__(
        self,
        settings: ExecutorSettings,
        *,
        curve: Curve = computed_curve,
        workers: int = 1,
        weights: bool = True,
    ) -> None:
        super().__init__(settings, partial(replay, curve=curve, weights=weights))
        self._workers = workers

    def capacity(self) -> int:
        return self._workers


def replaying(**options: Any) -> ExecutorFactory:
    """A function that makes a `ReplayExecutor` with these options."""
    return partial(ReplayExecutor, **options)


def replay(
    candidate: Candidate,
    recipe: Any,
    data: Any,
    folder: Path,
    *,
    seed: int,
    until: int | None = None,
    on_epoch: Callable[[EpochResult], None] = lambda result: None,
    on_step: Callable[[float], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    curve: Curve = computed_curve,
    weights: bool = True,
    **_: Any,
) -> TrainingResult:
    """Do what `ir2search.train` does, but replay the curve; continue where the file ends."""
    folder.mkdir(parents=True, exist_ok=True)
    accuracies = curve(candidate, seed, recipe.epochs)
    file = folder / CURVE
    done = [EpochResult(**row) for row in read_json_lines(file)] if file.exists() else []
    for epoch in range(len(done), recipe.epochs if until is None else until):
        on_step(epoch)
        if should_stop():
            raise Interrupted
        done.append(EpochResult(epoch + 1, 1 - accuracies[epoch], accuracies[epoch], 0.0, 0.1, 0.0))
        if weights and not (folder / BEST).exists():
            _write_weights(candidate, seed, folder / BEST)
        with file.open("a", encoding="utf-8") as curve_file:
            curve_file.write(json.dumps(asdict(done[-1])) + "\n")
        on_epoch(done[-1])
    return TrainingResult(tuple(done))


def _write_weights(candidate: Candidate, seed: int, file: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_network(build(candidate), file)
