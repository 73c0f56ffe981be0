"""Syne Tune's MOASHA on the table of the truth; run by search.py, in an environment of its own.

Reads an npz: ``errors`` (replicates, candidates, epochs), the error so far; ``costs``
(candidates); ``domains``, JSON of the searched values by parameter; ``rows``, the candidate of each
point of their product. Writes, into a folder, an array (steps, 2) of candidate and epoch for each
replicate that is not there yet.

Trials run one after the other, and each is stopped or trained to its end, which is what MOASHA's
rule for one worker comes to. Its own sampler proposes; a network that it proposes a second
time is trained again.

Syne Tune 0.16 has an error in its priorities: by its comments they are the ranks of the results,
but they are the indices of the results in sorted order. With --mended they are the ranks.

    python tests/benchmarks/moasha.py IN.npz FOLDER [--mended] [--steps 1500] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from itertools import product
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import (
    NonDominatedPriority,
)


class Mended(NonDominatedPriority):
    """Each result's own place in the order."""

    def priority_unsafe(self, objectives: np.ndarray) -> np.ndarray:
        return np.argsort(super().priority_unsafe(objectives))


def replay(
    errors: np.ndarray,
    costs: np.ndarray,
    domains: dict[str, list[object]],
    rows: np.ndarray,
    seed: int,
    steps: int,
    mended: bool,
) -> np.ndarray:
    """What one replicate trained, in its order: (steps, 2), candidate and epoch from 1."""
    np.random.seed(seed)  # its domains draw from numpy's global generator
    scheduler = MOASHA(
        {name: choice(values) for name, values in domains.items()},
        ["error", "cost"],
        time_attr="epoch",
        max_t=errors.shape[1],
        multiobjective_priority=Mended() if mended else None,
        random_seed=seed,
    )
    places = dict(zip(product(*domains.values()), rows, strict=True))
    trained: list[tuple[int, int]] = []
    number = 0
    while len(trained) < steps:
        config = scheduler.suggest().config
        row = places[tuple(config[name] for name in domains)]
        trial = Trial(number, config, datetime.now())
        scheduler.on_trial_add(trial)
        for epoch in range(1, errors.shape[1] + 1):
            trained.append((row, epoch))
            result = {"epoch": epoch, "error": errors[row, epoch - 1], "cost": costs[row]}
            if scheduler.on_trial_result(trial, result) == SchedulerDecision.STOP:
                break
        number += 1
    return np.array(trained[:steps])


def keep(file: Path, *arguments: Any) -> None:
    """Replay, and write what was trained."""
    part = file.with_suffix(".part.npy")
    np.save(part, replay(*arguments).astype(np.int16))
    part.replace(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target", type=Path)
    parser.add_argument("--mended", action="store_true")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = np.load(options.source)
    domains = json.loads(str(table["domains"]))
    options.target.mkdir(parents=True, exist_ok=True)
    jobs = [
        (file, errors, table["costs"], domains, table["rows"], seed, options.steps, options.mended)
        for seed, errors in enumerate(table["errors"])
        if not (file := options.target / f"{seed}.npy").exists()
    ]
    with Pool(options.workers) as pool:
        pool.starmap(keep, jobs, chunksize=1)


if __name__ == "__main__":
    main()
