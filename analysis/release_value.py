"""Does a network with the suggested layers in full precision beat one with random layers?

The layers that `ir2search analyze --suggest` names are released, and then random sets of layers
whose release costs as many OPs, within 5%. Each network is trained from several seeds with the
run's recipe, and classifies the test images. If no layer is suggested, because nothing can be
measured, the one with the best estimate is released.

Prints for each network its OPs and accuracy, and by how many points the suggested one is better
than the mean of the random ones, with a 95% interval over seeds (Student).
Trainings are kept in the run's folder, so that an interrupted command continues. For CIFAR-10 give
a run on its images. --estimate says how many trainings there are and about how long they take, and
ends.

    python analysis/release_value.py runs/digits [--trial knee] [--seeds 3] [--random 3]
        [--images 256] [--data FOLDER] [--out FOLDER] [--estimate]
"""

from __future__ import annotations

import argparse
import itertools
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

import ir2search as ir
from ir2search import text
from ir2search.data import ImageData
from ir2search.information import Settings, first_images
from ir2search.information.sensitivity import Sensitivity, operations
from ir2search.information.suggestion import suggestions
from ir2search.information.sweep import CALIBRATING
from ir2search.measures.names import BINARY, COLUMNS, TWIN
from ir2search.measures.tables import largest_part, sensitivity_table
from ir2search.plots import save
from ir2search.training import accuracy

AS_IT_IS, SUGGESTED, RANDOM = "as it is", "suggested", "random"
NEAR = 0.05  # releases whose OPs differ by at most this share are equal
Releases = dict[str, tuple[str, ...]]  # layers by name of the network


def swept(run: ir.Run, number: int, data: ImageData, images: int) -> pd.DataFrame:
    """The sensitivity of a trial's network to the precision of each layer."""
    candidate = run.candidate(number)
    networks = {
        BINARY: run.network(number),
        TWIN: ir.train_variant(run, candidate.twin(), data, device="cpu"),
    }
    seen = first_images(data, data.validation, min(images, len(data.validation)))
    fitting = first_images(data, data.train, CALIBRATING)
    rows = [
        *Sensitivity(networks, seen, fitting, Settings()).rows(),
        *operations(networks[BINARY], ir.cost(candidate)),
    ]
    return sensitivity_table(pd.DataFrame(rows, columns=list(COLUMNS)))


def releases(table: pd.DataFrame, count: int) -> Releases:
    """The network as it is, the suggested release, and random ones of as many OPs."""
    whole = largest_part(table).set_index("layer")
    suggested = tuple(each.layer for each in suggestions(table))
    if not suggested:
        worth = -whole["binarised_accuracy_points"] / whole["released_ops"]
        suggested = (str(worth[whole["kind"] == "layer"].idxmax()),)
    prices = whole.loc[whole["kind"] == "layer", "released_ops"]
    wanted = whole.loc[list(suggested), "released_ops"].sum()
    own = {
        each for each in prices.index if f"{each}.".startswith(tuple(f"{n}." for n in suggested))
    }
    sizes = range(1, len(own) + 2)
    every = itertools.chain.from_iterable(itertools.combinations(prices.index, n) for n in sizes)
    equal = [
        chosen
        for chosen in every
        if set(chosen) != own and abs(prices[list(chosen)].sum() / wanted - 1) <= NEAR
    ]
    drawn = random.Random(0).sample(equal, min(count, len(equal)))
    return {
        AS_IT_IS: (),
        SUGGESTED: suggested,
        **{f"{RANDOM} {number}": chosen for number, chosen in enumerate(drawn, 1)},
    }


def released(candidate: ir.Candidate, layers: tuple[str, ...]) -> ir.Candidate:
    """The candidate with these layers in full precision, too."""
    int8 = tuple(name for name in candidate.int8_layers if name not in layers)
    return replace(candidate, int8_layers=int8, real_layers=(*candidate.real_layers, *layers))


def measure(run: ir.Run, number: int, data: ImageData, found: Releases, seeds: int) -> pd.DataFrame:
    """A row for each network and seed."""
    test, rows = data.read_test(), []
    for seed in range(seeds):  # an interrupted command has whole seeds
        for name, layers in found.items():
            candidate = released(run.candidate(number), layers)
            network = ir.train_variant(run, candidate, data, further_seed=seed, device="cpu")
            rows.append(
                {
                    "network": name,
                    "layers": text.names(layers),
                    "seed": seed,
                    "ops": ir.cost(candidate).ops,
                    "accuracy": 100 * accuracy(network, data, test),
                }
            )
            print(f"seed {seed}, {name}: {rows[-1]['accuracy']:.1f}%", flush=True)
    return pd.DataFrame(rows)


def answer(table: pd.DataFrame) -> str:
    """By how many points the suggested network is better than the mean of the random ones."""
    by_seed = table.pivot(index="seed", columns="network", values="accuracy")
    others = [name for name in by_seed if str(name).startswith(RANDOM)]
    if not others:
        return "no other release has as many OPs"
    better = by_seed[SUGGESTED] - by_seed[others].mean(axis=1)
    half = stats.t.ppf(0.975, len(better) - 1) * stats.sem(better) if len(better) > 1 else np.nan
    mean = better.mean()
    return f"suggested less random: {mean:+.2f} points ({mean - half:+.2f} to {mean + half:+.2f})"


def draw(table: pd.DataFrame) -> Figure:
    """Test accuracy of each network; small dots are seeds, large ones means."""
    figure = Figure(figsize=(5.2, 3.6))
    axis = figure.subplots()
    for place, (_, rows) in enumerate(table.groupby("network", sort=False)):
        axis.scatter([place] * len(rows), rows["accuracy"], s=10, color="C0", alpha=0.6)
        axis.scatter([place], [rows["accuracy"].mean()], s=60, color="C0")
    names = table["network"].drop_duplicates().tolist()
    axis.set_xticks(range(len(names)), names, rotation=20)
    axis.set(ylabel="test accuracy (%)")
    return figure


def main() -> None:
    """Print the answer for a run and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--trial", default="knee")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--random", type=int, default=3)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--estimate", action="store_true")
    given = parser.parse_args()
    run = ir.Run.open(given.run)
    number = run.pick(given.trial)
    trainings = 1 + given.seeds * (2 + given.random)  # the twin; each network from each seed
    seconds = run.trials().set_index("number").loc[number, "seconds"]
    print(
        f"trial {number}: {trainings} trainings, about {trainings * seconds / 60:.0f} minutes if "
        "each takes as long as the trial; real layers take longer"
    )
    if given.estimate:
        return
    data = run.data(given.data)
    found = releases(swept(run, number, data, given.images), given.random)
    table = measure(run, number, data, found, given.seeds)
    means = table.groupby(["network", "layers", "ops"], sort=False)["accuracy"].agg(["mean", "std"])
    print(means.round(2).reset_index().to_string(index=False))
    print(answer(table))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "release_value.csv", index=False)
        save(partial(draw, table), given.out / "release_value")


if __name__ == "__main__":
    main()
