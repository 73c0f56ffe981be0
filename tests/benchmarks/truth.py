"""Train every candidate of a small space to the end, from several seeds, and save all curves.

The space and the recipe are in truth.toml. The table truth.parquet has one row for each candidate,
seed and epoch: ``candidate_id``, ``candidate`` (its fields as JSON), ``ops``, ``flops``, ``bops``,
``memory_bytes``, ``seed``, ``epoch``, ``validation_accuracy``, ``seconds``. Trainings are kept in a
folder, so that an interrupted command continues where it stopped.

    python tests/benchmarks/truth.py [--seeds 3] [--workers 2] [--runs runs/truth]
"""

from __future__ import annotations

import argparse
import itertools
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.errors import CandidateError

STUDY = Path(__file__).with_name("truth.toml")
TABLE = Path(__file__).with_name("truth.parquet")


def candidates(data: ImageData) -> list[ir.Candidate]:
    """All networks of the space, each once."""
    space = ir.load_study(STUDY).space.with_data(data.image, data.classes)
    found = {}
    for point in space.grid():
        try:
            candidate = space.candidate(point)
        except CandidateError:
            continue
        found[candidate.id] = candidate
    return sorted(found.values(), key=lambda candidate: candidate.id)


@cache
def read_data(runs: Path) -> ImageData:
    """The study's images, read once in each process."""
    study = ir.load_study(STUDY)
    return load_data(study.data, None, runs / ".cache", study.seed)


def train(candidate: ir.Candidate, seed: int, runs: Path) -> list[dict[str, object]]:
    """Train a candidate from a seed on one thread; returns its rows of the table."""
    torch.set_num_threads(1)
    recipe = ir.load_study(STUDY).recipe
    folder = runs / candidate.id / str(seed)
    result = ir.train(
        candidate, recipe, read_data(runs), folder, seed=seed, device=torch.device("cpu")
    )
    price = ir.cost(candidate)
    known = {
        "candidate_id": candidate.id,
        "candidate": json.dumps(candidate.as_dict(), sort_keys=True),
        "ops": price.ops,
        "flops": price.flops,
        "bops": price.bops,
        "memory_bytes": price.memory_bytes,
        "seed": seed,
    }
    return [
        known
        | {
            "epoch": row.epoch,
            "validation_accuracy": row.validation_accuracy,
            "seconds": row.seconds,
        }
        for row in result.curve
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/truth"))
    options = parser.parse_args()
    todo = candidates(read_data(options.runs))
    rows = []
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        trainings = [
            pool.submit(train, candidate, seed, options.runs)
            for seed, candidate in itertools.product(range(options.seeds), todo)
        ]
        for training in track(as_completed(trainings), "trainings", total=len(trainings)):
            rows += training.result()
    table = pd.DataFrame(rows).sort_values(["candidate_id", "seed", "epoch"], ignore_index=True)
    table.to_parquet(TABLE)
    print(f"{TABLE}: {len(todo)} candidates, {options.seeds} seeds, {len(table)} epochs")


if __name__ == "__main__":
    main()
