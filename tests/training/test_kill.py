"""A killed training leaves files that can be read, and can be continued."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from ir2search.errors import RunError
from ir2search.space import Candidate, build
from ir2search.training import EpochResult, Recipe, load_network
from ir2search.training.checkpoint import load_progress
from ir2search.training.layout import BEST, CURVE, LAST
from ir2search.training.optimizers import make_optimizer
from ir2search.zoo import TrainedNetwork, train_network

KILLS = 50
# With a constant rate, a shorter training is the beginning of a longer one.
RECIPE = Recipe(batch_size=512, optimizer="adamw", lr=0.01, schedule="constant", crop_padding=1)
TINY = Candidate(depth=8, width=0.125, threshold=0.9, image=(1, 8, 8))


def train_tiny(folder: Path, epochs: int) -> TrainedNetwork:
    candidate = folder.with_suffix(".json")
    candidate.write_text(json.dumps(TINY.as_dict()))
    return train_network(str(candidate), folder, recipe=RECIPE, epochs=epochs, device="cpu")


def epochs_on_disk(folder: Path) -> int:
    """Number of epochs on disk; fails if a file cannot be read."""
    if (folder / BEST).exists():
        load_network(TINY, folder / BEST)
    if not (folder / LAST).exists():
        return 0
    optimizer, curve = taken_up(folder)
    assert optimizer.state_dict()["state"]
    assert [row.epoch for row in curve] == list(range(1, len(curve) + 1))
    rows = [json.loads(line) for line in (folder / CURVE).read_text().splitlines()]
    assert len(rows) - len(curve) in (0, 1), "the curve is written first"
    assert rows[: len(curve)] == [asdict(row) for row in curve]
    return len(curve)


def taken_up(folder: Path) -> tuple[torch.optim.Optimizer, list[EpochResult]]:
    network = build(TINY)
    optimizer = make_optimizer(RECIPE, network)
    return optimizer, load_progress(folder, network, optimizer)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_of_fifty_kills_loses_at_most_one_epoch(tmp_path: Path) -> None:
    folder, generator = tmp_path / "killed", random.Random(7)
    train_tiny(tmp_path / "first", 1)  # imports everything, also for the children
    start = time.perf_counter()
    train_tiny(tmp_path / "second", 1)
    usual = time.perf_counter() - start
    # a forked child starts at once, because torch is imported; forking is safe with one thread
    context = multiprocessing.get_context("fork")
    reached, killed = 0, 0
    while killed < KILLS:
        child = context.Process(target=train_tiny, args=(folder, 100_000))
        child.start()
        time.sleep(generator.uniform(0, 2 * usual))
        child.kill()
        child.join()
        assert child.exitcode == -9
        killed += 1
        now = epochs_on_disk(folder)
        assert now >= reached
        reached = now
    assert reached > 0
    losses = [json.loads(line)["loss"] for line in (folder / CURVE).read_text().splitlines()]
    through = tmp_path / "through"
    train_tiny(through, reached)
    expected = [json.loads(line)["loss"] for line in (through / CURVE).read_text().splitlines()]
    assert losses[:reached] == expected, "the same curve as without kills"


def test_a_folder_with_another_training_is_refused(tmp_path: Path) -> None:
    train_tiny(tmp_path / "one", 1)
    with pytest.raises(RunError, match="epochs was 1 and is now 2; choose another"):
        train_tiny(tmp_path / "one", 2)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"has files but no training\.json"):
        train_tiny(tmp_path / "thesis", 1)
