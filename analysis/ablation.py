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
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import ir2search as ir
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
            curve(row.run, row.trial).assign(recovery=row.recovery, threshold=row.threshold)
            for row in table.itertuples()
        ]
    )


def draw(table: pd.DataFrame, folder: Path) -> None:
    """Validation accuracy by epoch: a colour for each threshold, dotted without recovery."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    thresholds = sorted(table["threshold"].unique())
    for row in table.itertuples():
        points = curve(row.run, row.trial).dropna(subset="validation_accuracy")
        axis.plot(
            points["epoch"],
            100 * points["validation_accuracy"],
            color=f"C{thresholds.index(row.threshold)}",
            linestyle=":" if row.recovery == "none" else "-",
            marker=".",
            label=f"recovery {row.recovery}, λ = {row.threshold:g}",
        )
    axis.set(xlabel="epoch", ylabel="validation accuracy (%)")
    axis.legend()
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"curves.{suffix}", dpi=150)


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
        curves(table).to_csv(arguments.out / "curves.csv", index=False)
        draw(table, arguments.out)


if __name__ == "__main__":
    main()
