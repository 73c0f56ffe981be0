"""Do restriction and recovery help?

Prints for each tested network of the runs: its accuracy on validation and test images, with the
standard deviation over seeds, the share of pixels that restriction blanked in the last epoch, the
FLOPs of its recovery, and its OPs. Then what each fusion gains over no recovery and over the dense
fusion, and each threshold over no restriction, with a 95% interval over seeds (Welch). Without
[confirm] and trials = "all" in the study, only the front is tested, from one seed, and there are no
intervals. --out also writes ablation.csv with a row for each training, curves.csv with the learning
curves, and a figure.

    python analysis/ablation.py runs/cifar10-ablation [RUN ...] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy import stats

import ir2search as ir
from ir2search.plots import save

NETWORK = ["recovery", "channels", "threshold", "recovery_flops", "ops"]


def trainings(run: ir.Run) -> pd.DataFrame:
    """A row for each training of a tested network; ``seed`` 0 is the trial's own."""
    table = run.trials()
    rows = []
    for trial in table[table["state"] == "trained"].itertuples():
        candidate = run.candidate(trial.number)
        without = replace(candidate, fusion="none", fusion_channels=None, taps=())
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
                    "recovery_flops": ir.cost(candidate).flops - ir.cost(without).flops,
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
    """What each fusion gains over none and over dense ones, and each threshold over 0."""
    rows = table.assign(
        recovery=[_recovery(*row) for row in table[NETWORK[:2]].itertuples(index=False)],
        threshold=table["threshold"].map(_restriction),
    )
    for restriction, group in rows.groupby("threshold"):
        yield from _against(group, "recovery", _recovery("none", 0), f"with {restriction}")
        with_fusion = group[group["recovery"] != _recovery("none", 0)]
        yield from _against(with_fusion, "recovery", "dense", f"with {restriction}")
    for recovery, group in rows.groupby("recovery"):
        yield from _against(group, "threshold", _restriction(0.0), f"with {recovery}")


def _recovery(kind: str, channels: int) -> str:
    names = {"none": "no recovery", "compact": f"compact, {channels} channels"}
    return names.get(kind, kind)


def _restriction(threshold: float) -> str:
    return f"restriction, λ = {threshold:g}" if threshold else "no restriction"


def _against(group: pd.DataFrame, factor: str, other: str, where: str) -> Iterator[str]:
    """The test accuracy at each level of a factor less the one at another level."""
    values = {level: rows["test"] for level, rows in group.groupby(factor)}
    base = values.pop(other, None)
    for level, test in values.items() if base is not None else ():
        gain = 100 * (test.mean() - base.mean())
        points = f"{level} over {other}, {where}: {gain:+.1f} points"
        if min(len(test), len(base)) < 2:
            yield f"{points} (one seed)"
        else:
            low, high = stats.ttest_ind(test, base, equal_var=False).confidence_interval()
            yield f"{points} ({100 * low:+.1f} to {100 * high:+.1f})"


def draw(table: pd.DataFrame) -> Figure:
    """Test accuracy of each network: small dots are seeds, large ones means.

    Args:
        table: as `trainings` returns it.
    """
    networks = list(
        table.sort_values("recovery_flops").groupby(["recovery", "channels"], sort=False)
    )
    thresholds = sorted(table["threshold"].unique())
    figure = Figure(figsize=(6, 1 + 0.4 * len(networks)))
    axis = figure.subplots()
    for place, (_, rows) in enumerate(networks):
        for threshold, group in rows.groupby("threshold"):
            number = thresholds.index(threshold)
            height = place + 0.25 * (number - (len(thresholds) - 1) / 2)
            color = f"C{number}"
            axis.scatter(group["test"], [height] * len(group), s=12, color=color, alpha=0.6)
            axis.scatter(group["test"].mean(), height, s=55, color=color)
    names = [
        f"{_recovery(*network)}\n{rows['recovery_flops'].iloc[0] / 1000:.1f} k FLOPs"
        for network, rows in networks
    ]
    axis.set_yticks(range(len(networks)), names, fontsize=8)
    axis.set(xlabel="test accuracy")
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for number, threshold in enumerate(thresholds):
        axis.scatter([], [], color=f"C{number}", label=_restriction(threshold))
    axis.legend(fontsize=8)
    return figure


def main() -> None:
    """Print the tables of the runs and draw the accuracies."""
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
        save(partial(draw, table), arguments.out / "accuracy")


if __name__ == "__main__":
    main()
