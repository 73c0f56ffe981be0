"""Which tap restores the most bits for its FLOPs?

A trial's backbone is trained without recovery, with each tap alone, and with all taps, each from
several seeds with the run's recipe. If the trial has no recovery, a compact fusion is added.

Prints for each: the FLOPs that recovery adds; usable information at the end of the network in
bits; the gain over the network without recovery, with a 95% interval over seeds (Welch); the gain
for each thousand FLOPs, if the interval is above zero; and accuracy. "predicted" is the gain of a
probe that reads the maps of the tap in addition to the last maps of the network without recovery:
it is known before recovery is trained. --out also writes a table of all values and a figure.

    python analysis/tap_value.py runs/digits [--trial knee] [--seeds 3] [--data FOLDER]
        [--out FOLDER]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

import ir2search as ir
from ir2search.data import ImageData
from ir2search.information import Chain, first_images
from ir2search.information.probes import pooled_features, probe
from ir2search.models.families import FAMILIES
from ir2search.models.network import TappedNetwork
from ir2search.plots import save
from ir2search.space import Candidate
from ir2search.training import accuracy

FITTING, HELD_OUT, MEMORY = 2000, 512, 1024
NONE = "none"


def variants(candidate: Candidate) -> dict[str, Candidate]:
    """Networks without taps, with each tap alone and with all taps, by their taps."""
    taps = FAMILIES[candidate.backbone].taps
    if not candidate.taps:
        candidate = replace(candidate, taps=tuple(taps), fusion="compact", fusion_ratio=4)
    found = {name: replace(candidate, taps=(name,)) for name in taps}
    found["all"] = replace(candidate, taps=tuple(taps))
    return {NONE: candidate.without_recovery(), **found}


def features(
    network: TappedNetwork, data: ImageData
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    """Pooled maps by layer, and labels: of the images to fit to, and of held-out images."""
    every = [first_images(data, data.train, FITTING), first_images(data, data.validation, HELD_OUT)]
    layers = Chain(network).cuts
    found = [pooled_features(network, images, layers, MEMORY) for images in every]
    return found, [images.labels.numpy() for images in every]


def bits(found: list[dict[str, np.ndarray]], known: list[np.ndarray], layers: list[str]) -> float:
    """Usable information of the features of several layers together."""
    fitting, held_out = ({"": np.hstack([some[name] for name in layers])} for some in found)
    (read,) = probe(fitting, known[0], held_out, known[1], seed=0)
    return float(np.nanmean(read.bits))


def measure(run: ir.Run, trial: str, seeds: int, data: Path | None) -> pd.DataFrame:
    """A row for each network and seed."""
    source = run.data(data)
    candidates = variants(run.candidate(run.pick(trial)))
    plain, rows = ir.cost(candidates[NONE]).flops, []
    predicted: dict[tuple[str, int], float] = {}
    for name, candidate in candidates.items():
        for seed in range(seeds):
            network = ir.train_variant(run, candidate, source, further_seed=seed, device="cpu")
            found, known = features(network, source)
            last = list(found[0])[-1]
            own = bits(found, known, [last])
            if name == NONE:
                for other, tapped in candidates.items():
                    ends = [unit_at_end(list(found[0]), tap) for tap in tapped.taps]
                    predicted[other, seed] = (
                        bits(found, known, [last, *ends]) - own if ends else 0.0
                    )
            rows.append(
                {
                    "taps": name,
                    "seed": seed,
                    "flops": ir.cost(candidate).flops - plain,
                    "bits": own,
                    "predicted": predicted[name, seed],
                    "accuracy": accuracy(network, source, source.validation),
                }
            )
    return pd.DataFrame(rows)


def unit_at_end(units: list[str], tap: str) -> str:
    """The last unit of a tapped layer."""
    return [unit for unit in units if unit == tap or unit.startswith(f"{tap}.")][-1]


def answer(table: pd.DataFrame) -> pd.DataFrame:
    """By taps: FLOPs, bits, the gain over the network without recovery, and accuracy."""
    plain = table[table["taps"] == NONE]["bits"]
    found = []
    for name, rows in table.groupby("taps", sort=False):
        flops, gain = rows["flops"].iloc[0], rows["bits"].mean() - plain.mean()
        test = stats.ttest_ind(rows["bits"], plain, equal_var=False)
        low, high = test.confidence_interval() if len(rows) > 1 else (np.nan, np.nan)
        found.append(
            {
                "taps": name,
                "FLOPs": flops,
                "bits": rows["bits"].mean(),
                "gain": gain,
                "low": low,
                "high": high,
                "bits per 1000 FLOPs": 1000 * gain / flops if flops and low > 0 else np.nan,
                "predicted": rows["predicted"].mean(),
                "accuracy %": 100 * rows["accuracy"].mean(),
                "sd": 100 * rows["accuracy"].std(),
            }
        )
    return pd.DataFrame(found)


def draw(table: pd.DataFrame) -> Figure:
    """Bits against the FLOPs that recovery adds; small dots are seeds."""
    figure = Figure(figsize=(5.2, 3.6))
    axis = figure.subplots()
    for number, (name, rows) in enumerate(table.groupby("taps", sort=False)):
        color = f"C{number}"
        mean = rows[["flops", "bits"]].mean()
        axis.scatter(rows["flops"], rows["bits"], s=10, color=color, alpha=0.6)
        axis.scatter(*mean, s=60, color=color, marker="osD^v"[number % 5])
        place = (0, -18 if number % 2 else 9)  # neighbours are close: above and below in turn
        axis.annotate(
            str(name), mean, xytext=place, textcoords="offset points", ha="center", color=color
        )
    axis.set(
        title="recovery of these taps",
        xlabel="FLOPs of recovery",
        ylabel="usable information at the end (bits)",
    )
    return figure


def main() -> None:
    """Print the answer for a run and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--trial", default="knee")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    run = ir.Run.open(given.run)
    table = measure(run, given.trial, given.seeds, given.data)
    print(f"trial {run.pick(given.trial)}, {given.seeds} seeds")
    print(answer(table).round(3).to_string(index=False))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "tap_value.csv", index=False)
        save(partial(draw, table), given.out / "tap_value")


if __name__ == "__main__":
    main()
