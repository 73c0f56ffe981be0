"""Train networks of a space to the end, from several seeds, and save all curves in a table.

A study file gives the space and the recipe: truth.toml for small networks on digits, and
truth_cifar10.toml for CIFAR-10. As many networks as its ``trials`` are drawn at random, within its
budget; a smaller space is trained whole. The table is the parquet file beside it. It has one row
for each network, seed and epoch: ``candidate_id``, ``candidate`` (its fields as JSON), ``ops``,
``flops``, ``bops``, ``memory_bytes``, ``seed``, ``epoch``, ``validation_accuracy``, ``seconds``.

A training is added to the table when it ends, and the table says what is left to train: the command
may be interrupted, and continues on another machine. Remove the table to train everything again.

    python tests/benchmarks/truth.py [STUDY] [--data FOLDER] [--seeds 3] [--every 1]
        [--workers 2] [--runs runs/truth]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.errors import CandidateError
from ir2search.files import replacing

STUDY = Path(__file__).with_name("truth.toml")
DRAWS = 100_000


def candidates(study: ir.Study, data: ImageData) -> Iterator[ir.Candidate]:
    """Networks of the space within the budget, each once, in a random order."""
    space, met = study.space.with_data(data.image, data.classes), set[str]()
    for point in space.points(random.Random(study.seed), DRAWS):
        try:
            candidate = space.candidate(point)
        except CandidateError:
            continue
        if candidate.id not in met and study.over_budget({"ops": ir.cost(candidate).ops}) is None:
            met.add(candidate.id)
            yield candidate


@cache
def images(file: Path, folder: Path | None, runs: Path) -> ImageData:
    """The images of a study file, read once in each process."""
    study = ir.load_study(file)
    return load_data(study.data, folder, runs / ".cache", study.seed)


def train(
    file: Path, candidate: ir.Candidate, seed: int, data: Path | None, runs: Path
) -> pd.DataFrame:
    """Train a candidate from a seed on one thread; gives its rows of the table."""
    torch.set_num_threads(1)
    study = ir.load_study(file)
    folder = runs / candidate.id / str(seed)
    cpu = torch.device("cpu")
    pixels = images(file, data, runs)
    result = ir.train(candidate, study.recipe, pixels, folder, seed=seed, device=cpu)
    price = ir.cost(candidate)
    rows = pd.DataFrame(result.curve)[["epoch", "validation_accuracy", "seconds"]]
    return rows.assign(
        candidate_id=candidate.id,
        candidate=json.dumps(candidate.as_dict(), sort_keys=True),
        ops=price.ops,
        flops=price.flops,
        bops=price.bops,
        memory_bytes=price.memory_bytes,
        seed=seed,
    )


def add(rows: pd.DataFrame, file: Path) -> None:
    """Add a training's rows to the table."""
    table = pd.concat([pd.read_parquet(file), rows]) if file.exists() else rows
    table = table.sort_values(["candidate_id", "seed", "epoch"], ignore_index=True)
    with replacing(file) as partial:
        table.to_parquet(partial)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path, nargs="?", default=STUDY)
    parser.add_argument("--data", type=Path, help="folder of images; none for digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--every", type=int, default=1, help="train every n-th network from the further seeds too"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/truth"))
    options = parser.parse_args()
    study, file = ir.load_study(options.study), options.study.with_suffix(".parquet")
    pixels = images(options.study, options.data, options.runs)
    done = set[tuple[str, int]]()
    if file.exists():
        table = pd.read_parquet(file, columns=["candidate_id", "seed"])
        done = set(table.itertuples(index=False, name=None))
    todo = [
        (candidate, seed)
        for place, candidate in enumerate(islice(candidates(study, pixels), study.trials))
        for seed in range(1 if place % options.every else options.seeds)
        if (candidate.id, seed) not in done
    ]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        trainings = [
            pool.submit(train, options.study, *each, options.data, options.runs) for each in todo
        ]
        for training in track(as_completed(trainings), "trainings", total=len(trainings)):
            add(training.result(), file)
    print(f"{file}: {len(pd.read_parquet(file))} epochs")


if __name__ == "__main__":
    main()
