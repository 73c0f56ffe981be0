"""On CIFAR-10: do the networks of a supernet reach what they reach when they are trained alone?

A supernet of truth_cifar10.toml is trained by that study's recipe, for as many epochs as the
networks of the table truth_cifar10.parquet (made by truth.py), which were trained alone. Then each
network of the table is measured with its part of the shared weights. Printed are

- the difference of the two accuracies, in points, for all networks and for those of the front by
  inherited accuracy,
- Kendall's tau-b between the two, and between two seeds of training alone where there are two,
- the price of the supernet: its processor seconds over those of the largest network alone,
- the seconds that one further network takes.

Each step is kept in a folder, so that an interrupted command can continue.

    python tests/benchmarks/supernet_cifar10.py --data FOLDER [--random 2] [--runs FOLDER]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import moocore
import numpy as np
import pandas as pd
import torch
from rich.console import Console
from supernet import epoch_seconds, supernet_seconds
from warm_start import tau

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.space import candidate_from_dict
from ir2search.supernet import (
    Supernet,
    SupernetSettings,
    calibrated_subnet,
    calibration_batches,
    load_supernet,
)
from ir2search.training import accuracy

STUDY = ir.load_study(Path(__file__).with_name("truth_cifar10.toml"))
TABLE = Path(__file__).with_name("truth_cifar10.parquet")
REPORT = Path(__file__).parents[2] / "reports" / "search" / "supernet-cifar10.csv"
CPU = torch.device("cpu")


def alone() -> pd.DataFrame:
    """The networks of the table: candidate, operations, and the best accuracy from each seed."""
    table = pd.read_parquet(TABLE)
    networks = table.groupby("candidate_id")[["candidate", "ops"]].first()
    best = table.groupby(["candidate_id", "seed"])["validation_accuracy"].max().unstack()
    return networks.join(best.add_prefix("seed_"))


def inherited(
    supernet: Supernet, networks: pd.DataFrame, data: ImageData, calibration: int
) -> pd.DataFrame:
    """The networks' accuracies with their part of the shared weights, and the seconds of each."""
    batches = calibration_batches(data, calibration, STUDY.recipe.augmentation, CPU)
    rows = []
    for text in networks["candidate"]:
        start = time.process_time()
        network = calibrated_subnet(supernet, candidate_from_dict(json.loads(text)), batches)
        found = accuracy(network, data, data.validation)
        rows.append({"inherited": found, "seconds": time.process_time() - start})
    return networks.join(pd.DataFrame(rows, index=networks.index))


def report(networks: pd.DataFrame, spent: float, largest: float) -> None:
    """Print the comparison."""
    console = Console(width=100)
    gap = 100 * (networks["seed_0"] - networks["inherited"])
    points = np.stack([1 - networks["inherited"], networks["ops"]], axis=1)
    front = moocore.is_nondominated(points)
    for name, part in (("all networks", gap), ("front by inherited accuracy", gap[front])):
        console.print(
            f"{name}: {len(part)}; alone minus inherited {part.mean():.1f} points on average, "
            f"{part.min():.1f} to {part.max():.1f}; within 2 points: {(part <= 2).sum()}"
        )
    console.print(f"tau with training alone: {tau(networks['inherited'], networks['seed_0']):.2f}")
    if "seed_1" in networks and (both := networks.dropna(subset=["seed_1"])).shape[0] > 2:
        console.print(f"two seeds alone ({len(both)}): {tau(both['seed_0'], both['seed_1']):.2f}")
    console.print(f"price: {spent / largest:.2f} trainings of the largest network")
    console.print(f"a further network: {networks['seconds'].median():.1f} processor seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--random", type=int, default=2, help="networks drawn in each step")
    parser.add_argument("--calibration", type=int, default=2048, help="images")
    parser.add_argument("--runs", type=Path, default=Path("runs/supernet-cifar10"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(STUDY.data, options.data, options.runs / ".cache", STUDY.seed)
    folder = options.runs / f"random-{options.random}"
    settings = SupernetSettings(random=options.random, calibration=options.calibration)
    spent = supernet_seconds(STUDY.space, STUDY.recipe, data, folder, 0, settings)
    supernet = load_supernet(folder, STUDY.space.with_data(data.image, data.classes), data)
    networks = inherited(supernet, alone(), data, options.calibration)
    networks.to_csv(REPORT, float_format="%.4f")
    two = replace(STUDY.recipe, epochs=2, validate_every=2)
    alone_seconds = STUDY.recipe.epochs * epoch_seconds(supernet.largest, two, data)
    report(networks, spent, alone_seconds)


if __name__ == "__main__":
    main()
