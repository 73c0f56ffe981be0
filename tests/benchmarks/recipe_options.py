"""What is each option of a recipe or a network worth, changed alone or with others?

Trains the ResNet-20 at half its width on a part of CIFAR-10 at 16 x 16 pixels, once as it is and
once for each option below, from one or more seeds. Prints for each option its mean validation
accuracy in percent, its gain over the same seeds as they are, and the deviations over seeds. A
result is written as soon as its training ends; run the same command again to continue.

    python tests/benchmarks/recipe_options.py CIFAR10 --out FOLDER [--seeds 1] [--epochs 8]
        [--images 12000]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import ir2search as ir
from ir2search.data import DataConfig, ImageData, Split
from ir2search.zoo import named_recipe

AS_IT_IS = "as it is"
NETWORK = ir.Candidate(width=0.5, threshold=0.0, image=(3, 16, 16))
# names of the network's fields and of the recipe's are different
TOGETHER: Mapping[str, Any] = {"activation": "rprelu", "other_lr": 0.02, "stem_start": "whitened"}
LINEAR: Mapping[str, Any] = TOGETHER | {"schedule": "linear"}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    AS_IT_IS: {},
    "batch size 64": {"batch_size": 64},
    "batch size 256": {"batch_size": 256},
    "Muon's rate 0.03": {"lr": 0.03},
    "Muon's rate 0.08": {"lr": 0.08},
    "AdamW's rate 0.005": {"other_lr": 0.005},
    "AdamW's rate 0.02": {"other_lr": 0.02},
    "momentum 0.95": {"momentum": 0.95},
    "linear schedule": {"schedule": "linear"},
    "moving average 0.99": {"ema": 0.99},
    "moving average 0.998": {"ema": 0.998},
    "no weight decay": {"weight_decay": 0.0},
    "whitened stem": {"stem_start": "whitened"},
    "Dirac stem": {"stem_start": "dirac"},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "cutout of 4 pixels": {"cutout": 4},
    "reflected padding": {"padding": "reflect"},
    "crop of 1 pixel": {"crop_padding": 1},
    "random flip": {"alternating_flip": False},
    "norms that are free": {"fixed_norms": False},
    "biases of BatchNorm 8 times as fast": {"norm_bias_factor": 8.0},
    "small images first": {"first_side": 0.5},
    "PReLU": {"activation": "prelu"},
    "RPReLU": {"activation": "rprelu"},
    "learned shifts before signs": {"shift": True},
    "RPReLU and learned shifts": {"activation": "rprelu", "shift": True},
    "standardised weights": {"standardise": True},
    "straight-through activations": {"estimator": "straight-through"},
    "tanh for activations": {"estimator": "tanh"},
    "polynomial for weights": {"weight_estimator": "polynomial"},
    "restriction at 0.9": {"threshold": 0.9},
    "RPReLU, AdamW's rate 0.02": {"activation": "rprelu", "other_lr": 0.02},
    "RPReLU, straight-through": {"activation": "rprelu", "estimator": "straight-through"},
    "RPReLU, 0.02, whitened": TOGETHER,
    "RPReLU, 0.02, whitened, straight-through": TOGETHER | {"estimator": "straight-through"},
    "RPReLU, 0.02, whitened, linear": LINEAR,
    "RPReLU, 0.02, whitened, linear, batch size 64": LINEAR | {"batch_size": 64},
    "RPReLU, 0.02, whitened, linear, biases 8 times as fast": LINEAR | {"norm_bias_factor": 8.0},
    "RPReLU, 0.02, whitened, linear, Muon's rate 0.08": LINEAR | {"lr": 0.08},
    "RPReLU, 0.02, whitened, linear, learned shifts": LINEAR | {"shift": True},
    "RPReLU, 0.04, whitened, linear": LINEAR | {"other_lr": 0.04},
    "PReLU, 0.02, whitened, linear": LINEAR | {"activation": "prelu"},
}


def with_option(values: Mapping[str, Any], epochs: int) -> tuple[ir.Candidate, ir.Recipe]:
    """The network and the recipe with some of their fields replaced."""
    of_network = {field.name for field in fields(ir.Candidate)}
    recipe = replace(named_recipe("cifar-fast"), epochs=epochs, crop_padding=2, other_lr=0.01)
    return (
        replace(NETWORK, **{name: each for name, each in values.items() if name in of_network}),
        replace(recipe, **{name: each for name, each in values.items() if name not in of_network}),
    )


def read(file: Path) -> pd.DataFrame:
    """The results so far: a row for each option and seed."""
    lines = file.read_text().splitlines() if file.exists() else []
    columns = ["option", "seed", "validation_accuracy", "training_loss", "seconds"]
    return pd.DataFrame([json.loads(line) for line in lines], columns=columns)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """A row for each option, the highest gain first; accuracies in percent."""
    accuracy = 100 * results.pivot(index="option", columns="seed", values="validation_accuracy")
    gain = accuracy - accuracy.loc[AS_IT_IS]
    by_option = results.groupby("option")
    return pd.DataFrame(
        {
            "seeds": accuracy.count(axis=1),
            "accuracy": accuracy.mean(axis=1),
            "deviation": accuracy.std(axis=1),
            "gain": gain.mean(axis=1),
            "gain_deviation": gain.std(axis=1),
            "training_loss": by_option["training_loss"].mean(),
            "seconds": by_option["seconds"].mean(),
        }
    ).sort_values("gain", ascending=False)


def trained(option: str, epochs: int, data: ImageData, seed: int, out: Path) -> dict[str, Any]:
    """Train the network with one option from one seed; its row."""
    start = time.perf_counter()
    candidate, recipe = with_option(OPTIONS[option], epochs)
    folder = out / "trainings" / f"{list(OPTIONS).index(option)}-{seed}"
    result = ir.train(candidate, recipe, data, folder, seed=seed, device=torch.device("cpu"))
    return {
        "option": option,
        "seed": seed,
        "validation_accuracy": result.curve[-1].validation_accuracy,
        "training_loss": result.curve[-1].loss,
        "seconds": time.perf_counter() - start,
    }


def main() -> None:
    """Train what is missing, then print the table and write it as options.csv."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of CIFAR-10")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=12_000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "options.jsonl"
    data = ir.load_data(DataConfig(source="folder", size=16), arguments.data, arguments.out, 0)
    part = replace(data, train=Split(*data.train.take(torch.arange(arguments.images))))
    for seed in range(arguments.seeds):
        for option in OPTIONS:
            done = read(file)
            if not ((done["option"] == option) & (done["seed"] == seed)).any():
                row = trained(option, arguments.epochs, part, seed, arguments.out)
                with file.open("a") as results:
                    results.write(json.dumps(row) + "\n")
                print(row, flush=True)
    table = summary(read(file))
    table.to_csv(arguments.out / "options.csv", float_format="%.3f")
    print(table.to_string(float_format="%.2f"))


if __name__ == "__main__":
    main()
