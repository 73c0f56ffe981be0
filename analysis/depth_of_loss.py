"""At which depth is information lost, and does recovery restore it?

A trial's network, the same network without recovery, and the full-precision twin are trained from
several seeds with the run's recipe. If the trial has no recovery, a compact one of all taps is
added. Probes measure the usable information about the label in every layer, in bits, see
`ir2search.information.probes`, and its loss across each layer.

Prints for each layer: bits, and what is lost or gained, with its 95% interval over seeds (Student),
or "none" if the interval includes zero; then the bits that recovery restores at the end of the
network (Welch). --out also writes a table of all values and a figure.

    python analysis/depth_of_loss.py runs/digits [--trial knee] [--seeds 3] [--data FOLDER]
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
from ir2search.plots.style import legend_above
from ir2search.space import Candidate

FITTING, HELD_OUT, MEMORY = 2000, 512, 1024
LOOKS = {"recovery": ("C0", "-", "o"), "no recovery": ("C2", ":", "^"), "twin": ("C1", "--", "s")}


def networks(candidate: Candidate) -> dict[str, Candidate]:
    """The networks to compare, by name."""
    if not candidate.taps:
        taps = FAMILIES[candidate.backbone].taps
        candidate = replace(candidate, taps=tuple(taps), fusion="compact", fusion_ratio=4)
    return {
        "recovery": candidate,
        "no recovery": candidate.without_recovery(),
        "twin": candidate.twin(),
    }


def usable_bits(network: TappedNetwork, data: ImageData) -> dict[str, float]:
    """Bits about the label by layer, in order of depth."""
    fitting = first_images(data, data.train, FITTING)
    held_out = first_images(data, data.validation, HELD_OUT)
    features = [
        pooled_features(network, images, Chain(network).cuts, MEMORY)
        for images in (fitting, held_out)
    ]
    labels = [images.labels.numpy() for images in (fitting, held_out)]
    found = probe(features[0], labels[0], features[1], labels[1], seed=0)
    return {one.layer: float(np.nanmean(one.bits)) for one in found}


def measure(run: ir.Run, trial: str, seeds: int, data: Path | None) -> pd.DataFrame:
    """A row for each network, seed and layer, with ``bits`` and ``loss`` in bits."""
    source = run.data(data)
    rows = []
    for name, variant in networks(run.candidate(run.pick(trial))).items():
        for seed in range(seeds):
            network = ir.train_variant(run, variant, source, further_seed=seed, device="cpu")
            bits = pd.Series(usable_bits(network, source))
            found = pd.DataFrame({"bits": bits, "loss": -bits.diff()})
            found.insert(0, "seed", seed)
            found.insert(0, "network", name)
            rows.append(found.rename_axis("layer").reset_index())
    return pd.concat(rows, ignore_index=True)


def interval(values: pd.Series[float]) -> tuple[float, float]:
    """95% interval of a mean over seeds (Student)."""
    if len(values) < 2:
        return np.nan, np.nan
    return tuple(stats.ttest_1samp(values, 0).confidence_interval())


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """By layer and network: bits, and what the layer lost or gained, "none" if it may be zero."""
    found: dict[str, dict[tuple[str, str], str]] = {layer: {} for layer in in_order(table)}
    for (layer, name), rows in table.groupby(["layer", "network"], sort=False):
        low, high = interval(rows["loss"])
        mean = rows["loss"].mean()
        lost = f"lost {mean:.2f} [{low:.2f}, {high:.2f}]"
        if mean < 0:
            lost = f"gained {-mean:.2f} [{-high:.2f}, {-low:.2f}]"
        found[layer][name, "bits"] = f"{rows['bits'].mean():.2f}"
        found[layer][name, "change"] = "none" if low <= 0 <= high else lost
        if rows["loss"].isna().all():
            found[layer][name, "change"] = ""
    return pd.DataFrame.from_dict(found, orient="index").fillna("")


def in_order(table: pd.DataFrame) -> list[str]:
    """Layers in order of depth; recovery, which not all networks have, is last."""
    return sorted(dict.fromkeys(table["layer"]), key=lambda layer: layer == "recovery")


def restored(table: pd.DataFrame) -> str:
    """The bits that recovery restores, in two sentences."""
    last = table.groupby(["network", "seed"], sort=False).last()["bits"]
    own, plain, twin = (last[name] for name in LOOKS)
    gap = stats.ttest_ind(twin, plain, equal_var=False)
    gain = stats.ttest_ind(own, plain, equal_var=False)
    several = len(own) > 1
    bounds = [tuple(t.confidence_interval()) if several else (np.nan, np.nan) for t in (gap, gain)]
    return (
        f"usable bits at the end: {plain.mean():.2f} without recovery, {own.mean():.2f} with it, "
        f"{twin.mean():.2f} in the twin\n"
        "compared with the network without recovery, "
        f"the twin gains {twin.mean() - plain.mean():+.2f} "
        f"[{bounds[0][0]:.2f}, {bounds[0][1]:.2f}] and recovery {own.mean() - plain.mean():+.2f} "
        f"[{bounds[1][0]:.2f}, {bounds[1][1]:.2f}]"
    )


def draw(table: pd.DataFrame) -> Figure:
    """Bits over depth: a line for each network, a dot for each seed."""
    layers = in_order(table)
    figure = Figure(figsize=(6.4, 3.8))
    axis = figure.subplots()
    for name, (color, dash, marker) in LOOKS.items():
        rows = table[table["network"] == name]
        mean = rows.groupby("layer")["bits"].mean().reindex(layers).dropna()
        places = [layers.index(layer) for layer in mean.index]
        axis.plot(places, mean, color=color, linestyle=dash, marker=marker, label=name)
        axis.scatter(rows["layer"].map(layers.index), rows["bits"], s=8, color=color, alpha=0.6)
    axis.set_xticks(range(len(layers)), layers, rotation=45, ha="right")
    axis.set_ylabel("usable information (bits)")
    legend_above(axis)
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
    print(losses(table).to_string())
    print(restored(table))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "depth_of_loss.csv", index=False)
        save(partial(draw, table), given.out / "depth_of_loss")


if __name__ == "__main__":
    main()
