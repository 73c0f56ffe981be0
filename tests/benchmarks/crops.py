"""How far may training images move? Crops of 0 to 4 pixels, for a network of 241 k OPs on CIFAR-10.

Trains `cifar10-241k` without restriction by the recipe `cifar-fast-rprelu`, with each padding
before the random crop. Prints the last loss and validation accuracy of each training, and writes
them to crops.csv. An epoch takes about 20 seconds of one core; run the same command again to
continue.

    python tests/benchmarks/crops.py CIFAR10 --out FOLDER [--epochs 12] [--seeds 1]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

import ir2search as ir
from ir2search.data import DataConfig
from ir2search.zoo import named_recipe

CROPS = (
    {"crop_padding": 4, "padding": "zeros"},  # as in the recipe
    {"crop_padding": 4, "padding": "reflect"},
    {"crop_padding": 2, "padding": "zeros"},
    {"crop_padding": 2, "padding": "reflect"},
    {"crop_padding": 1, "padding": "reflect"},
    {"crop_padding": 0, "padding": "zeros"},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of CIFAR-10")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = ir.load_data(DataConfig(source="folder"), options.data, options.out / ".cache", 0)
    candidate = replace(ir.load_trained("cifar10-241k").candidate, threshold=0.0)
    base, rows = replace(named_recipe("cifar-fast-rprelu"), epochs=options.epochs), []
    for seed in range(options.seeds):
        for crop in CROPS:
            name = f"{crop['crop_padding']}-{crop['padding']}-{options.epochs}-{seed}"
            recipe = replace(base, **crop)
            trained = ir.train(
                candidate, recipe, data, options.out / name, seed=seed, device=torch.device("cpu")
            )
            last = trained.curve[-1]
            rows.append({**crop, "epochs": options.epochs, "seed": seed, "loss": last.loss,
                         "validation_accuracy": last.validation_accuracy})  # fmt: skip
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(options.out / "crops.csv", index=False)


if __name__ == "__main__":
    main()
