"""Which measure finds the layer that is worth more bits? Compared with training again.

A small ResNet is trained as it is, as its full-precision twin, and with one stage or one layer
released to full precision, each from the same seeds. What a release gains in cross-entropy on test
images is the truth. Measures of the network as it is are ranked against it: the sweep,
signal-to-noise ratios, probes, attributions, CKA and the entropy of signs.

Without --data it is a ResNet of 8 layers on the included digits. With --data, a folder of CIFAR-10,
it is the ResNet-20 at half its width on 16 x 16 pixels, trained on a part of the images with the
recipe cifar-fast. Trainings are kept in a folder, so that an interrupted command continues, also
with more seeds or layers.

    python tests/benchmarks/layer_truth.py --out FOLDER [--seeds 8] [--runs runs/layer-truth]
        [--layers 6] [--data CIFAR10] [--epochs 6] [--images 8000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats

import ir2search as ir
from ir2search.data import DataConfig, ImageData, Split, load_data
from ir2search.information import Images, Settings, first_images
from ir2search.information.measure import measure
from ir2search.information.sweep import AT_ONCE, classified
from ir2search.measures.tables import layers_table, sensitivity_table
from ir2search.models.families import FAMILIES
from ir2search.models.network import TappedNetwork
from ir2search.training import load_network
from ir2search.training.layout import BEST
from ir2search.zoo import named_recipe

DIGITS = ir.Candidate(depth=8, width=0.25, threshold=0.0, image=(1, 16, 16))
CIFAR = ir.Candidate(depth=20, width=0.5, threshold=0.0, image=(3, 16, 16))
AS_IT_IS, TWIN = "as it is", "twin"
STAGES = ("stage1", "stage2", "stage3")
TRUTHS = ("bits", "points")
MEASURED, FITTING, RESAMPLES = 1000, 2000, 1000


@dataclass(frozen=True)
class Case:
    """What is trained on which images.

    Attributes:
        base: the network as it is.
        recipe: of all trainings.
        data: the images.
        runs: the folder of all trainings.
        most: largest number of layers that are released, each alone.
    """

    base: ir.Candidate
    recipe: ir.Recipe
    data: ImageData
    runs: Path
    most: int

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that are released, spread evenly over the depth."""
        every = FAMILIES[self.base.backbone].layers(self.base.depth)
        places = np.linspace(0, len(every) - 1, min(self.most, len(every))).round().astype(int)
        return tuple(every[place] for place in places)

    @property
    def networks(self) -> dict[str, ir.Candidate]:
        """The networks to train, by name."""
        parts = {part: replace(self.base, real_layers=(part,)) for part in (*STAGES, *self.layers)}
        return {AS_IT_IS: self.base, TWIN: self.base.twin(), **parts}

    def folder_of(self, name: str, seed: int) -> Path:
        """The folder of a training."""
        return self.runs / name.replace(" ", "-") / str(seed)

    def trained(self, name: str, seed: int) -> TappedNetwork:
        """A network after its best epoch."""
        return load_network(self.networks[name], self.folder_of(name, seed) / BEST)


def on_digits(runs: Path, most: int) -> Case:
    """A ResNet of 8 layers at a quarter of its width."""
    study = ir.load_study("digits")
    return Case(DIGITS, study.recipe, load_data(study.data, None, runs / ".cache", 0), runs, most)


def on_cifar(folder: Path, images: int, epochs: int, runs: Path, most: int) -> Case:
    """The ResNet-20 at half its width, on the first training images at 16 x 16 pixels."""
    data = load_data(DataConfig(source="folder", size=CIFAR.image[1]), folder, runs / ".cache", 0)
    part = replace(data, train=Split(*data.train.take(torch.arange(images))))
    recipe = replace(named_recipe("cifar-fast"), epochs=epochs, crop_padding=2)
    return Case(CIFAR, recipe, part, runs, most)


def stage_of(layer: str) -> str:
    """The stage that has the layer."""
    return layer.split(".", maxsplit=1)[0]


def train_all(case: Case, seed: int) -> None:
    """Train every network from a seed; a finished training is not repeated."""
    for name, candidate in case.networks.items():
        began, folder = time.perf_counter(), case.folder_of(name, seed)
        ir.train(candidate, case.recipe, case.data, folder, seed=seed, device=torch.device("cpu"))
        print(f"seed {seed}, {name}: {time.perf_counter() - began:.0f} s", flush=True)


def truths(case: Case, seed: int) -> pd.DataFrame:
    """What each release gained on test images: ``points`` of accuracy, and ``bits`` of loss."""
    test = Images(case.data.read_test(), case.data.normalise)
    found = {
        name: classified(case.trained(name, seed), test, AT_ONCE)
        for name in case.networks
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


def measures(case: Case, seed: int) -> pd.DataFrame:
    """Every measure of each layer and stage; larger values promise that a release gains more."""
    data = case.data
    given = {"binary": case.trained(AS_IT_IS, seed), "twin": case.trained(TWIN, seed)}
    images = first_images(data, data.validation, MEASURED)
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
    )
    of_stages = found.groupby(stage_of).mean()
    found = pd.concat([found.loc[list(case.layers)], of_stages.loc[list(STAGES)]])
    swept = sensitivity_table(table).query("part == 'both'").set_index("layer")
    found["sweep: bits if binarised"] = swept["binarised_loss_bits"]
    found["sweep: points if binarised"] = -swept["binarised_accuracy_points"]
    found["sweep: bits if released"] = -swept["released_loss_bits"]
    found["sweep: points if released"] = swept["released_accuracy_points"]
    rows = {each.name.removesuffix(".conv"): each.bops for each in ir.cost(case.base).rows}
    found["BOPs (no measure)"] = pd.Series(rows).reindex(found.index)
    depths = {name: depth for depth, name in enumerate(case.layers)}
    found["depth (no measure)"] = pd.Series(depths).reindex(found.index)
    return found


def ranking(table: pd.DataFrame, layers: Sequence[str]) -> pd.DataFrame:
    """Spearman's correlation of each measure with the truth over layers, means over seeds.

    With 95% intervals over resampled seeds. The first row compares one half of the seeds with the
    other, for the truth itself: a measure cannot be expected to correlate more.
    """
    known = table[table["part"].isin(layers)]
    names = [each for each in table.columns if each not in ("part", "seed", *TRUTHS)]
    by_seed = {seed: each.set_index("part") for seed, each in known.groupby("seed")}
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
    whole = mean(seeds)
    for name in names:
        row = {"measure": name}
        for truth in TRUTHS:
            spread = [draw[name].corr(draw[truth], "spearman") for draw in draws]
            row[truth] = whole[name].corr(whole[truth], "spearman")
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


def main() -> None:
    """Train, measure, print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--runs", type=Path, default=Path("runs/layer-truth"))
    parser.add_argument("--layers", type=int, default=99, help="largest number of single layers")
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10")
    parser.add_argument("--epochs", type=int, default=6, help="on CIFAR-10")
    parser.add_argument("--images", type=int, default=8000, help="of CIFAR-10")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.data is None:
        case, stem = on_digits(given.runs, given.layers), "layer_truth"
    else:
        case = on_cifar(given.data, given.images, given.epochs, given.runs, given.layers)
        stem = "layer_truth_cifar10"
    parts = []
    for seed in range(given.seeds):
        train_all(case, seed)
        found = truths(case, seed).join(measures(case, seed))
        found.insert(0, "seed", seed)
        parts.append(found.rename_axis("part").reset_index())
        print(f"seed {seed} is measured", flush=True)
    table = pd.concat(parts, ignore_index=True)
    given.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.out / f"{stem}.csv", index=False)
    tables = {"gains": gains(table)}
    if case.layers:
        tables["ranking"] = ranking(table, case.layers)
    for name, found in tables.items():
        print(found.round(3).to_string(index=False))
        found.to_csv(given.out / f"{stem}_{name}.csv", index=False)


if __name__ == "__main__":
    main()
