"""Draw the learning curves of the published CIFAR-10 trainings: reports/cifar10-fast/curves.svg.

Reads the table beside it, curves.csv, with a row for each epoch: ``training``, ``seed``, ``epoch``,
``loss``, ``validation_accuracy``, ``lr``.

    python tests/benchmarks/learning_curves.py
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from ir2search.plots import save
from ir2search.plots.style import label_ends

FOLDER = Path(__file__).parents[2] / "reports" / "cifar10-fast"
SHOWN = {  # label of each training
    "RPReLU, Muon 0.02, AdamW 0.005, linear, 60 epochs": "1.23 M OPs",
    "RPReLU, crops of 1 pixel, 24 epochs": "1.23 M, 3 seeds",
    "580 k OPs, 60 epochs": "580 k OPs",
    "241 k OPs, crops of 1 pixel, 40 epochs": "241 k OPs",
    "91 k OPs, crops of 1 pixel, 40 epochs": "91 k OPs",
    "30 k OPs, crops of 1 pixel, 40 epochs": "30 k OPs",
}


def draw(table: pd.DataFrame) -> Figure:
    """Validation accuracy by epoch; a thin line for each seed, and their mean."""
    figure = Figure(figsize=(8, 4.5))
    axes = figure.subplots()
    means = []
    for number, (training, label) in enumerate(SHOWN.items()):
        rows, colour = table[table["training"] == training], f"C{number}"
        by_seed = rows.pivot_table(index="epoch", columns="seed", values="validation_accuracy")
        if by_seed.shape[1] > 1:
            axes.plot(by_seed.index, by_seed, color=colour, linewidth=0.6, alpha=0.6)
        mean = by_seed.mean(axis="columns")
        means += axes.plot(mean.index, mean, color=colour, linewidth=1.8, label=label)
    axes.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0.35, 0.85))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    label_ends(axes, means)
    for label in axes.texts:  # readable where a line passes
        label.set_path_effects([withStroke(linewidth=3, foreground="white")])
    return figure


if __name__ == "__main__":
    save(partial(draw, pd.read_csv(FOLDER / "curves.csv")), FOLDER / "curves")
