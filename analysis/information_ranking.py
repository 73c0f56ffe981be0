"""Does information predict the ranking of a study's candidates by accuracy?

If the information in a network before training or after one epoch predicted its final accuracy, a
search could skip the rest of the training. For every trained trial this recipe measures the usable
information at the end of the network and the mean entropy of its signs: untrained, and after the
first and the third epoch. Both are compared with the final accuracy on test images, and so are two
numbers that are known anyway: operations, and validation accuracy after the same number of epochs.

Prints for each: Kendall's tau with a 95% bootstrap interval over trials, and partial tau given the
operations (Kendall 1942). --out also writes a table of all values and a figure.

    python analysis/information_ranking.py runs/digits [--epochs 1,3] [--data FOLDER] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

import ir2search as ir
from ir2search.data import ImageData
from ir2search.information import Chain, first_images
from ir2search.information.bits import channel_entropy, sign_bits
from ir2search.information.probes import pooled_features, probe
from ir2search.models.network import TappedNetwork
from ir2search.plots import save
from ir2search.space import Candidate
from ir2search.training import accuracy

FITTING, HELD_OUT, MEMORY, BATCH = 2000, 512, 1024, 128
RESAMPLES = 500
FINAL = "final accuracy"


def untrained_network(candidate: Candidate, data: ImageData) -> TappedNetwork:
    """An untrained network with BatchNorm statistics from training images."""
    torch.manual_seed(0)
    network = ir.build(candidate)
    with torch.no_grad():
        for images, _ in first_images(data, data.train, FITTING).batches(BATCH):
            network(images)
    return network.eval()


def measure_network(network: TappedNetwork, data: ImageData, epochs: str) -> dict[str, float]:
    """Usable information at the end and entropy of signs, in bits; ``epochs`` names the columns."""
    last = list(Chain(network).cuts)[-1]
    fitting = first_images(data, data.train, FITTING)
    held_out = first_images(data, data.validation, HELD_OUT)
    features = [pooled_features(network, images, [last], MEMORY) for images in (fitting, held_out)]
    labels = [images.labels.numpy() for images in (fitting, held_out)]
    (read,) = probe(features[0], labels[0], features[1], labels[1], seed=0)
    signs = sign_bits(network, (images for images, _ in held_out.batches(BATCH)), seed=0)
    entropies = [float(channel_entropy(one.positive.mean(dim=0)).mean()) for one in signs]
    return {
        f"information, {epochs}": float(np.nanmean(read.bits)),
        f"sign entropy, {epochs}": float(np.mean(entropies)),
    }


def measure(run: ir.Run, epochs: list[int], data: Path | None) -> pd.DataFrame:
    """A row for each trained trial: measures after some epochs, and the final accuracy."""
    source = run.data(data)
    test, table = source.read_test(), run.trials()
    rows = []
    for number in table[table["state"] == "trained"]["number"]:
        candidate, curve = run.candidate(number), run.curve(number)
        row = {"trial": number, "ops": ir.cost(candidate).ops}
        row |= measure_network(untrained_network(candidate, source), source, "0")
        for epoch in epochs:
            network = ir.train_variant(run, candidate, source, until=epoch, device="cpu")
            row |= measure_network(network, source, str(epoch))
            row[f"accuracy, {epoch}"] = max(
                point.validation_accuracy or 0 for point in curve[:epoch]
            )
        final = run.network(number)
        row |= measure_network(final, source, "all")
        row["accuracy, all"] = max(point.validation_accuracy or 0 for point in curve)
        rows.append(row | {FINAL: accuracy(final, source, test)})
    return pd.DataFrame(rows)


def tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b."""
    return float(stats.kendalltau(one, other).statistic)


def partial_tau(one: np.ndarray, other: np.ndarray, given: np.ndarray) -> float:
    """Kendall's partial tau of two variables given a third."""
    a, b, c = tau(one, other), tau(one, given), tau(other, given)
    return float(np.float64(a - b * c) / np.sqrt((1 - b**2) * (1 - c**2)))


def answer(table: pd.DataFrame) -> pd.DataFrame:
    """How well each measure ranks the networks, by number of epochs."""
    values = table.drop(columns="trial").astype(float)
    draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    found = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in values.columns.drop(FINAL):
            columns = [values[each].to_numpy() for each in (name, FINAL, "ops")]
            spread = [tau(columns[0][draw], columns[1][draw]) for draw in draws]
            beyond = [partial_tau(*(column[draw] for column in columns)) for draw in draws]
            what, _, epochs = name.partition(", ")
            row = {"known": what, "epochs": epochs or "-", "tau": tau(*columns[:2])}
            row["low"], row["high"] = np.nanquantile(spread, [0.025, 0.975])
            if name != "ops":
                row["beyond OPs"] = partial_tau(*columns)
                if not np.isnan(beyond).all():
                    row["low "], row["high "] = np.nanquantile(beyond, [0.025, 0.975])
            found.append(row)
    return pd.DataFrame(found)


def draw(table: pd.DataFrame) -> Figure:
    """Final accuracy against each measure, a panel each."""
    names = [name for name in table.columns if name not in ("trial", FINAL)]
    figure = Figure(figsize=(9, 2.5 * -(-len(names) // 4)))
    axes = figure.subplots(-(-len(names) // 4), 4, squeeze=False, sharey=True).ravel()
    for axis in axes[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes, names, strict=False):
        axis.scatter(table[name], table[FINAL], s=12, color="C0")
        axis.set_xlabel(axis_label(name))
        axis.xaxis.set_major_locator(MaxNLocator(3))
    for axis in axes[::4]:
        axis.set_ylabel("test accuracy")
    return figure


def axis_label(column: str) -> str:
    """What a column of the table holds: "information" and, on a new line, after which training."""
    what, _, epochs = column.partition(", ")
    what = {"ops": "OPs", "accuracy": "validation accuracy"}.get(what, what)
    times = {"": "", "0": "untrained", "1": "after 1 epoch", "all": "after all epochs"}
    return f"{what}\n{times.get(epochs, f'after {epochs} epochs')}"


def main() -> None:
    """Print the answer for a run and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", default="1,3")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    run = ir.Run.open(given.run)
    longest = run.study.recipe.total_epochs
    epochs = [epoch for epoch in map(int, given.epochs.split(",")) if epoch < longest]
    table = measure(run, epochs, given.data)
    print(f"{len(table)} trained trials; the most accurate is {run.pick('best')}")
    print(answer(table).round(2).to_string(index=False))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "information_ranking.csv", index=False)
        save(partial(draw, table), given.out / "information_ranking")


if __name__ == "__main__":
    main()
