"""Which measure finds the layer that is worth more bits? Compared with training again.

A small ResNet on the included digits is trained as it is, as its full-precision twin, and with one
stage or one layer released to full precision, each from the same seeds. What a release gains in
cross-entropy on test images is the truth. Measures of the network as it is are ranked against it:
the sweep, signal-to-noise ratios, probes, attributions, CKA and the entropy of signs.

Trainings are kept in a folder, so that an interrupted command continues where it stopped.

    python tests/benchmarks/layer_truth.py --out FOLDER [--seeds 8] [--runs runs/layer-truth]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

import ir2search as ir
from ir2search.data import ImageData, load_data
from ir2search.information import Images, Settings, first_images
from ir2search.information.measure import measure
from ir2search.information.sweep import AT_ONCE, classified
from ir2search.measures.tables import layers_table, sensitivity_table
from ir2search.models.build import BUILDERS
from ir2search.models.families import FAMILIES
from ir2search.models.network import NetworkSpec, TappedNetwork
from ir2search.nn import BinaryConv2d
from ir2search.training import load_network
from ir2search.training.layout import BEST

BASE = ir.Candidate(depth=8, width=0.25, threshold=0.0, image=(1, 16, 16))
AS_IT_IS, TWIN = "as it is", "twin"
STAGES = ("stage1", "stage2", "stage3")
TRUTHS = ("bits", "points")
FITTING, RESAMPLES = 2000, 1000
LAYERS = tuple(f"{stage}.{unit}" for stage in STAGES for unit in (0, 1))


def released(part: str) -> ir.Candidate:
    """The network with a stage or a layer in full precision; registers a backbone for it."""
    name = f"released-{part}"
    if name not in FAMILIES:

        @ir.register_backbone(name, FAMILIES[BASE.backbone])
        def build(spec: NetworkSpec) -> TappedNetwork:
            network = BUILDERS[BASE.backbone](spec)
            for module in network.get_submodule(part).modules():
                if isinstance(module, BinaryConv2d):
                    own = module.binarisation
                    module.binarisation = replace(own, weights="real", activations="real")
            return network

    return replace(BASE, backbone=name)


def networks() -> dict[str, ir.Candidate]:
    """The networks to train, by name."""
    parts = {part: released(part) for part in (*STAGES, *LAYERS)}
    return {AS_IT_IS: BASE, TWIN: BASE.twin(), **parts}


def train_all(data: ImageData, seed: int, runs: Path) -> None:
    """Train every network from a seed; a finished training is not repeated."""
    recipe = ir.load_study("digits").recipe
    for name, candidate in networks().items():
        began = time.perf_counter()
        folder = folder_of(name, seed, runs)
        ir.train(candidate, recipe, data, folder, seed=seed, device=torch.device("cpu"))
        print(f"seed {seed}, {name}: {time.perf_counter() - began:.0f} s", flush=True)


def truths(data: ImageData, seed: int, runs: Path) -> pd.DataFrame:
    """What each release gained on test images: ``points`` of accuracy, and ``bits`` of loss."""
    test = Images(data.read_test(), data.normalise)
    found = {
        name: classified(trained(name, seed, runs), test, AT_ONCE)
        for name in networks()
        if name != TWIN
    }
    own = found.pop(AS_IT_IS)
    rows = {
        name: {
            "points": 100 * (each.correct - own.correct).mean(),
            "bits": (own.loss - each.loss).mean(),
        }
        for name, each in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def measures(data: ImageData, seed: int, runs: Path) -> pd.DataFrame:
    """Every measure of each layer and stage; larger values promise that a release gains more."""
    given = {"binary": trained(AS_IT_IS, seed, runs), "twin": trained(TWIN, seed, runs)}
    images = first_images(data, data.validation, len(data.validation))
    fitting = first_images(data, data.train, FITTING)
    table = measure(given, images, fitting, Settings(methods=("deeplift",)))
    layers = layers_table(table).set_index("layer")
    attribution = table[table["measure"] == "attribution loss"].set_index("layer")["value"]
    found = pd.DataFrame(
        {
            "local signal to noise, low": -layers["local_sqnr_db"],
            "graph-wise signal to noise, low": -layers["graph_sqnr_db"],
            "graph-wise signal to noise, its drop": -layers["graph_sqnr_db"].diff(),
            "probe: information lost": layers["loss"],
            "probe: lost beyond the twin": layers["loss"] - layers["twin_loss"],
            "attribution lost (DeepLIFT)": attribution,
            "CKA with the twin, low": -layers["cka"],
            "entropy of signs, low": -layers["sign_entropy"],
        }
    ).loc[list(LAYERS)]
    found = pd.concat([found, found.groupby(lambda name: name.split(".")[0]).mean()])
    swept = sensitivity_table(table).query("part == 'both'").set_index("layer")
    found["sweep: bits if binarised"] = swept["binarised_loss_bits"]
    found["sweep: points if binarised"] = -swept["binarised_accuracy_points"]
    found["sweep: bits if released"] = -swept["released_loss_bits"]
    found["sweep: points if released"] = swept["released_accuracy_points"]
    rows = {each.name.removesuffix(".conv"): each.bops for each in ir.cost(BASE).rows}
    found["BOPs (no measure)"] = pd.Series(rows).reindex(found.index)
    found["depth (no measure)"] = pd.Series(range(len(LAYERS)), LAYERS).reindex(found.index)
    return found


def ranking(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of each measure with the truth over layers, means over seeds.

    With 95% intervals over resampled seeds. The first row compares one half of the seeds with the
    other, for the truth itself: a measure cannot be expected to correlate more.
    """
    layers = table[table["part"].isin(LAYERS)]
    names = [each for each in table.columns if each not in ("part", "seed", *TRUTHS)]
    by_seed = {seed: rows.set_index("part") for seed, rows in layers.groupby("seed")}
    seeds, rng = list(by_seed), np.random.default_rng(0)

    def mean(chosen: Sequence[int]) -> pd.DataFrame:
        return sum(by_seed[seed][[*names, *TRUTHS]] for seed in chosen) / len(chosen)

    halves = [rng.permutation(seeds) for _ in range(RESAMPLES)]
    middle = len(seeds) // 2
    rows = [{"measure": "the truth itself, half of the seeds"}]
    split = [(mean(half[:middle]), mean(half[middle:])) for half in halves]
    for truth in TRUTHS:
        rows[0][truth] = np.mean(
            [one[truth].corr(other[truth], "spearman") for one, other in split]
        )
    draws = [mean(rng.choice(seeds, len(seeds))) for _ in range(RESAMPLES)]
    for name in names:
        row = {"measure": name}
        for truth in TRUTHS:
            spread = [draw[name].corr(draw[truth], "spearman") for draw in draws]
            row[truth] = mean(seeds)[name].corr(mean(seeds)[truth], "spearman")
            row[f"{truth}_low"], row[f"{truth}_high"] = np.nanquantile(spread, [0.025, 0.975])
        rows.append(row)
    return pd.DataFrame(rows)


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """The truth by part: means over seeds with 95% intervals (Student)."""
    found = {}
    for part, rows in table.groupby("part", sort=False):
        row = {}
        for truth in TRUTHS:
            values = rows[truth].to_numpy()
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
            row |= {truth: values.mean(), f"{truth}_low": values.mean() - half}
            row[f"{truth}_high"] = values.mean() + half
        found[part] = row
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("part").reset_index()


def trained(name: str, seed: int, runs: Path) -> TappedNetwork:
    """A network after its best epoch."""
    return load_network(networks()[name], folder_of(name, seed, runs) / BEST)


def folder_of(name: str, seed: int, runs: Path) -> Path:
    """The folder of a training."""
    return runs / name.replace(" ", "-") / str(seed)


def main() -> None:
    """Train, measure, print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--runs", type=Path, default=Path("runs/layer-truth"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    study = ir.load_study("digits")
    data = load_data(study.data, None, given.runs / ".cache", study.seed)
    parts = []
    for seed in range(given.seeds):
        train_all(data, seed, given.runs)
        found = truths(data, seed, given.runs).join(measures(data, seed, given.runs))
        found.insert(0, "seed", seed)
        parts.append(found.rename_axis("part").reset_index())
        print(f"seed {seed} is measured", flush=True)
    table = pd.concat(parts, ignore_index=True)
    given.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.out / "layer_truth.csv", index=False)
    for name, found in {"gains": gains(table), "ranking": ranking(table)}.items():
        print(found.round(3).to_string(index=False))
        found.to_csv(given.out / f"layer_truth_{name}.csv", index=False)


if __name__ == "__main__":
    main()
