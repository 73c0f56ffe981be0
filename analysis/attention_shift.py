"""Does restriction move attention to where the full-precision twin looks, and at which thresholds?

A trial's network is trained at several thresholds, and its twin is trained without restriction,
each from several seeds with the run's recipe. Their attention maps on the same validation images
are compared, for the last feature maps, which restriction uses, and for each layer that can be
tapped.

Prints for each threshold: the share of pixels blanked, accuracy, Spearman's correlation with the
attention of the twins, and the difference of this correlation to the network without restriction,
with a 95% interval over seeds (Welch). If the interval includes zero, there may be no difference.
Restriction cannot reach more than the similarity of two twins. --out also writes a table of all
values and a figure.

    python analysis/attention_shift.py runs/digits [--trial knee] [--thresholds 0.5,0.9,1]
        [--seeds 3] [--images 256] [--data FOLDER] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

import ir2search as ir
from ir2search.information import first_images
from ir2search.information.map_measures import spearman
from ir2search.models.network import TappedNetwork
from ir2search.plots import save
from ir2search.training import accuracy

Maps = dict[str, Tensor]


@torch.no_grad()
def attention(network: TappedNetwork, images: Tensor) -> Maps:
    """Attention maps (N, h, w) by layer; those of the last feature maps are ``"last"``."""
    taps, last = network.eval().feature_maps(images)
    return {name: ir.attention_map(maps) for name, maps in (taps | {"last": last}).items()}


def similarity(one: Maps, others: Iterable[Maps]) -> dict[str, float]:
    """Spearman's correlation over pixels by layer: the mean over images and over ``others``."""
    return {
        layer: float(np.mean([spearman(maps, other[layer]).nanmean() for other in others]))
        for layer, maps in one.items()
    }


def measure(
    run: ir.Run, trial: str, thresholds: list[float], seeds: int, count: int, data: Path | None
) -> pd.DataFrame:
    """A row for each threshold, seed and layer.

    A threshold of NaN stands for the twin, compared with twins of other seeds.
    """
    source = run.data(data)
    candidate = run.candidate(run.pick(trial))
    images, _ = first_images(source, source.validation, count).whole()
    twin = replace(candidate.twin(), threshold=0.0)
    twins = [
        attention(ir.train_variant(run, twin, source, further_seed=seed, device="cpu"), images)
        for seed in range(seeds)
    ]
    rows = [
        {"threshold": np.nan, "seed": seed, "layer": layer, "similarity": value}
        for seed in range(seeds if seeds > 1 else 0)
        for layer, value in similarity(twins[seed], twins[:seed] + twins[seed + 1 :]).items()
    ]
    for threshold, seed in itertools.product([0.0, *thresholds], range(seeds)):
        variant = replace(candidate, threshold=threshold)
        network = ir.train_variant(run, variant, source, further_seed=seed, device="cpu").eval()
        with torch.no_grad():
            shown = ir.restrict(images, network.forward_features(images), threshold)
        about = {
            "threshold": threshold,
            "seed": seed,
            "blanked": float((shown == 0).all(dim=1).float().mean()) if threshold else 0.0,
            "accuracy": accuracy(network, source, source.validation),
        }
        found = similarity(attention(network, images), twins)
        rows += [about | {"layer": layer, "similarity": value} for layer, value in found.items()]
    return pd.DataFrame(rows)


def answer(table: pd.DataFrame) -> pd.DataFrame:
    """By threshold: the gain in similarity of the last attention, and its direction if clear."""
    last = table[table["layer"] == "last"].dropna(subset="threshold")
    by_threshold = dict(iter(last.groupby("threshold")))
    unrestricted = by_threshold[0.0]["similarity"]
    found = []
    for threshold, rows in by_threshold.items():
        test = stats.ttest_ind(rows["similarity"], unrestricted, equal_var=False)
        low, high = test.confidence_interval() if len(rows) > 1 else (np.nan, np.nan)
        moved = "towards the twin" if low > 0 else "away from it" if high < 0 else "not shown"
        found.append(
            {
                "threshold": threshold,
                "blanked %": 100 * rows["blanked"].mean(),
                "accuracy %": 100 * rows["accuracy"].mean(),
                "sd": 100 * rows["accuracy"].std(),
                "similarity": rows["similarity"].mean(),
                "difference": rows["similarity"].mean() - unrestricted.mean(),
                "low": low,
                "high": high,
                "moved": "-" if threshold == 0 else moved,
            }
        )
    return pd.DataFrame(found)


def draw(table: pd.DataFrame) -> Figure:
    """Similarity to the twin by threshold: a line for each layer, a dot for each seed."""
    figure = Figure(figsize=(5.2, 3.8))
    axis = figure.subplots()
    trained = table.dropna(subset="threshold")
    for number, (layer, rows) in enumerate(trained.groupby("layer", sort=False)):
        mean = rows.groupby("threshold")["similarity"].mean()
        look = {"color": f"C{number}", "linestyle": ("-", "--", "-.", ":")[number % 4]}
        axis.plot(mean.index, mean, marker="osD^v"[number % 5], label=layer, **look)
        axis.scatter(rows["threshold"], rows["similarity"], s=8, color=f"C{number}", alpha=0.6)
    twins = table[table["threshold"].isna() & (table["layer"] == "last")]["similarity"]
    if len(twins):
        axis.axhline(twins.mean(), color="black", linewidth=1, label="two twins (last)")
    axis.set(xlabel="threshold λ", ylabel="Spearman with the twins' attention")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
    return figure


def main() -> None:
    """Print the answer for a run and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--trial", default="knee")
    parser.add_argument("--thresholds", default="0.5,0.9,1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    thresholds = [float(value) for value in given.thresholds.split(",")]
    run = ir.Run.open(given.run)
    table = measure(run, given.trial, thresholds, given.seeds, given.images, given.data)
    print(f"trial {run.pick(given.trial)}, {given.seeds} seeds, at most {given.images} images")
    print(answer(table).round(3).to_string(index=False))
    twins = table[table["threshold"].isna() & (table["layer"] == "last")]["similarity"]
    print(f"two twins of different seeds: {twins.mean():.3f}")
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "attention_shift.csv", index=False)
        save(partial(draw, table), given.out / "attention_shift")


if __name__ == "__main__":
    main()
