"""Do restriction and recovery help?

Prints for each trained network of the runs: its accuracy on validation and test images, the share
of pixels that restriction blanked in the last epoch, and its cost. --out also writes ablation.csv,
curves.csv with the learning curves, and a figure. With one seed, a difference may be chance:
networks whose threshold blanks nothing differ only in their seeds and show this spread.

    python analysis/ablation.py runs/cifar10-ablation runs/cifar10-restriction
        [--data FOLDER] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

import ir2search as ir
from ir2search.plots import save
from ir2search.training import accuracy


def curve(run: ir.Run, number: int) -> pd.DataFrame:
    """The learning curve of a trial, a row for each epoch."""
    return pd.DataFrame(map(asdict, run.curve(number)))


def ablation(run: ir.Run, data: Path | None) -> pd.DataFrame:
    """A row for each trained network."""
    source = run.data(data)
    test = source.read_test()
    table = run.trials()
    table = table[table["state"] == "trained"]
    return pd.DataFrame(
        {
            "run": run,
            "trial": table["number"],
            "recovery": table["fusion"],
            "threshold": table["threshold"],
            "validation": table["accuracy"],
            "test": [accuracy(run.network(n), source, test) for n in table["number"]],
            "blanked": [run.curve(n)[-1].restricted_share for n in table["number"]],
            "ops": table["ops"].astype(int),
        }
    )


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """All learning curves, a row for each epoch of each network."""
    return pd.concat(
        [
            curve(row.run, row.trial).assign(
                run=row.run.folder.name,
                trial=row.trial,
                recovery=row.recovery,
                threshold=row.threshold,
            )
            for row in table.itertuples()
        ]
    )


def draw(epochs: pd.DataFrame) -> Figure:
    """Validation accuracy by epoch: a colour for each threshold, dotted without recovery.

    Args:
        epochs: as `curves` returns it.
    """
    figure = Figure(figsize=(6, 4))
    axis = figure.subplots()
    epochs = epochs.dropna(subset="validation_accuracy")
    thresholds = sorted(epochs["threshold"].unique())
    for (_, _, recovery, threshold), points in epochs.groupby(
        ["run", "trial", "recovery", "threshold"], sort=False
    ):
        kind = "without recovery" if recovery == "none" else f"{recovery} recovery"
        axis.plot(
            points["epoch"],
            points["validation_accuracy"],
            color=f"C{thresholds.index(threshold)}",
            linestyle=":" if recovery == "none" else "-",
            marker=".",
            label=f"{kind}, λ = {threshold:g}",
        )
    axis.set(xlabel="epoch", ylabel="validation accuracy")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, fontsize=8)
    return figure


def main() -> None:
    """Print the table of the runs and draw their curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    table = pd.concat([ablation(ir.Run.open(run), arguments.data) for run in arguments.runs])
    table = table.sort_values(["recovery", "threshold"], ignore_index=True)
    shown = table.assign(run=table["run"].map(lambda run: run.folder.name))
    shares = {name: (100 * table[name]).round(2) for name in ("validation", "test", "blanked")}
    print(shown.assign(**shares).to_string(index=False))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        shown.to_csv(arguments.out / "ablation.csv", index=False)
        epochs = curves(table)
        epochs.to_csv(arguments.out / "curves.csv", index=False)
        save(partial(draw, epochs), arguments.out / "curves")


if __name__ == "__main__":
    main()
