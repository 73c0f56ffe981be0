"""Do restriction and recovery help?

For every network that the runs trained: its accuracy on validation and test images, the share of
pixels that restriction blanked in its last epoch, and its cost; with --out as ablation.csv, beside
the learning curves as a table and a figure. With one seed a difference is one draw: networks whose
threshold blanks nothing are trained alike but for the seed, so that how far they lie apart is how
far seeds do.

    python analysis/ablation.py runs/cifar10-ablation runs/cifar10-restriction
        [--data FOLDER] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import ir2search as ir
from ir2search.space import read_candidate
from ir2search.training import accuracy


def curve(run: Path, number: int) -> pd.DataFrame:
    """A trial's learning curve, a row for an epoch."""
    lines = (run / "trials" / str(number) / "curve.jsonl").read_text().splitlines()
    return pd.DataFrame(map(json.loads, lines))


def ablation(run: Path, data: Path | None) -> pd.DataFrame:
    """A row for each trained network, in the order of what is left out."""
    source = ir.run_data(run, data)
    test = source.read_test()
    table = ir.trials(run)
    table = table[table["state"] == "trained"].sort_values(["fusion", "threshold"])
    tested = []
    for number in table["number"]:
        trial = run / "trials" / str(number)
        candidate = read_candidate(trial / "candidate.json")
        network = ir.load_network(candidate, trial / "best.safetensors")
        tested.append(accuracy(network, source, test))
    return pd.DataFrame(
        {
            "run": run,
            "trial": table["number"],
            "recovery": table["fusion"],
            "threshold": table["threshold"],
            "validation": table["accuracy"],
            "test": tested,
            "blanked": [curve(run, n)["restricted_share"].iloc[-1] for n in table["number"]],
            "ops": table["ops"].astype(int),
        }
    )


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """All learning curves, a row for an epoch."""
    return pd.concat(
        [
            curve(row.run, row.trial).assign(recovery=row.recovery, threshold=row.threshold)
            for row in table.itertuples()
        ]
    )


def draw(table: pd.DataFrame, folder: Path) -> None:
    """Validation accuracy by epoch: a colour for a threshold, a dash for recovery left out."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    thresholds = sorted(table["threshold"].unique())
    for row in table.itertuples():
        points = curve(row.run, row.trial)
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
    """Print the table of a run and draw its curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    table = pd.concat([ablation(run, arguments.data) for run in arguments.runs])
    table = table.sort_values(["recovery", "threshold"], ignore_index=True)
    shown = table.assign(run=table["run"].map(lambda run: run.name))
    shares = {name: (100 * table[name]).round(2) for name in ("validation", "test", "blanked")}
    print(shown.assign(**shares).to_string(index=False))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        shown.to_csv(arguments.out / "ablation.csv", index=False)
        curves(table).to_csv(arguments.out / "curves.csv", index=False)
        draw(table, arguments.out)


if __name__ == "__main__":
    main()
