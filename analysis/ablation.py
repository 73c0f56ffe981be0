"""Do restriction and recovery help?

Prints for each tested network of the runs: its accuracy on validation and test images, with the
standard deviation over seeds, the share of pixels that restriction blanked in the last epoch, and
its OPs. Then what each fusion gains over no recovery, and each threshold over no restriction, with
a 95% interval over seeds (Welch). Without [confirm] and trials = "all" in the study, only the front
is tested, from one seed, and there are no intervals. --out also writes ablation.csv with a row for
each training, curves.csv with the learning curves, and a figure.

    python analysis/ablation.py runs/cifar10-ablation [RUN ...] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy import stats

import ir2search as ir
from ir2search.plots import save

NETWORK = ["recovery", "channels", "threshold", "ops"]


def trainings(run: ir.Run) -> pd.DataFrame:
    """A row for each training of a tested network; ``seed`` 0 is the trial's own."""
    table = run.trials()
    rows = []
    for trial in table[table["state"] == "trained"].itertuples():
        candidate = run.candidate(trial.number)
        pairs = zip(trial.seed_accuracies, trial.seed_test_accuracies, strict=False)
        for seed, (validation, test) in enumerate(pairs):
            rows.append(
                {
                    "run": run.folder.name,
                    "trial": trial.number,
                    "seed": seed,
                    "recovery": candidate.fusion,
                    "channels": candidate.fusion_channels or 0,
                    "threshold": candidate.threshold,
                    "ops": int(trial.ops),
                    "validation": validation,
                    "test": test,
                    "blanked": run.curve(trial.number, seed)[-1].restricted_share,
                }
            )
    return pd.DataFrame(rows)


def curves(run: ir.Run, table: pd.DataFrame) -> pd.DataFrame:
    """All learning curves of a run, a row for each epoch of each training."""
    return pd.concat(
        [
            pd.DataFrame(map(asdict, run.curve(row.trial, row.seed))).assign(
                run=row.run,
                trial=row.trial,
                seed=row.seed,
                recovery=row.recovery,
                channels=row.channels,
                threshold=row.threshold,
            )
            for row in table.itertuples()
        ]
    )


def by_network(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over seeds in percent, a row for each network."""
    groups = table.groupby(NETWORK, sort=True)
    found = groups.agg(
        seeds=("seed", "size"),
        validation=("validation", "mean"),
        test=("test", "mean"),
        deviation=("test", "std"),
        blanked=("blanked", "mean"),
    )
    shares = ["validation", "test", "deviation", "blanked"]
    return found.assign(**(100 * found[shares]).round(2)).reset_index()


def gains(table: pd.DataFrame) -> Iterator[str]:
    """What each fusion gains over none at equal thresholds, and each threshold over 0."""
    named = table.assign(recovery=table["recovery"] + table["channels"].map(" {}".format))
    for threshold, group in named.groupby("threshold"):
        yield from _against(group, "recovery", "none 0", f"at threshold {threshold}")
    for recovery, group in named.groupby("recovery"):
        yield from _against(group, "threshold", 0.0, f"with recovery {recovery}")


def _against(group: pd.DataFrame, factor: str, without: object, where: str) -> Iterator[str]:
    """The test accuracy at each level of a factor less the one without it."""
    values = {level: rows["test"] for level, rows in group.groupby(factor)}
    base = values.pop(without, None)
    for level, test in values.items() if base is not None else ():
        points = f"{factor} {level} {where}: {100 * (test.mean() - base.mean()):+.1f} points"
        if min(len(test), len(base)) < 2:
            yield f"{points} (one seed)"
        else:
            low, high = stats.ttest_ind(test, base, equal_var=False).confidence_interval()
            yield f"{points} ({100 * low:+.1f} to {100 * high:+.1f})"


def draw(epochs: pd.DataFrame) -> Figure:
    """Mean validation accuracy by epoch: a colour for each threshold, dotted without recovery.

    Args:
        epochs: as `curves` returns it.
    """
    figure = Figure(figsize=(6, 4))
    axis = figure.subplots()
    epochs = epochs.dropna(subset="validation_accuracy")
    thresholds = sorted(epochs["threshold"].unique())
    for (recovery, channels, threshold), points in epochs.groupby(
        ["recovery", "channels", "threshold"], sort=False
    ):
        width = f" of {channels} channels" if recovery == "compact" else ""
        kind = "without recovery" if recovery == "none" else f"{recovery} recovery{width}"
        color = f"C{thresholds.index(threshold)}"
        found = points.groupby("epoch")["validation_accuracy"]
        axis.plot(
            found.mean(),
            color=color,
            linestyle=":" if recovery == "none" else "-",
            label=f"{kind}, λ = {threshold:g}",
        )
        axis.fill_between(
            found.mean().index, found.min(), found.max(), color=color, alpha=0.15, linewidth=0
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
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    runs = [ir.Run.open(run) for run in arguments.runs]
    tables = [trainings(run) for run in runs]
    table = pd.concat(tables)
    print(by_network(table).to_string(index=False))
    print("\n".join(gains(table)))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(arguments.out / "ablation.csv", index=False)
        epochs = pd.concat(map(curves, runs, tables))
        epochs.to_csv(arguments.out / "curves.csv", index=False)
        save(partial(draw, epochs), arguments.out / "curves")


if __name__ == "__main__":
    main()
