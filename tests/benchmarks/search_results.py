"""What the searches of search.py found: shares of the true front, and the epochs to a goal.

**Measure.** Each epoch that a method spends gives a point: the candidate's best accuracy so far,
and its operations. The measure is the hypervolume of these points as a share of the hypervolume of
the true front, which has the best accuracy of each candidate over all epochs. The hypervolume is
over the error and the logarithm of the operations, because operations range over an order of
magnitude. Both are scaled so that the best and the worst value of wholly trained candidates are 0
and 1. The reference point is at 1.1 (Ishibuchi et al., "How to specify a reference point in
hypervolume calculation for fair performance comparison", Evolutionary Computation 2018); an error
that is worse than any at the end of training counts for nothing. A second measure has its reference
point at the error of guessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from curve_table import Draw, drawn
from rich.table import Table
from search_methods import BOTORCH, GOALS, METHODS, PLAIN_NAMES, Plain, Trace


def shares(
    steps: np.ndarray, draw: Draw, *, repeats: bool = False, measure: str = "worst"
) -> np.ndarray:
    """The share of the true front's hypervolume after each epoch that counts, up to the limit."""
    trace = Trace(draw, repeats=repeats, measure=measure)
    for row, epoch in steps:
        trace.spend(int(row), int(epoch))
    return np.array(trace.shares[: draw.limit])


def measured(found: Mapping[str, Mapping[int, np.ndarray]], table: Path) -> pd.DataFrame:
    """Shares by measure, method, replicate and epochs; only rows with a change, and the last."""
    tables = []
    for measure in ("worst", "guess"):
        for name, traces in found.items():
            plain = isinstance(METHODS.get(name), Plain)
            for repeats in (False, True) if plain else (False,):
                label = f"{name}, cached" if plain and not repeats else name
                for replicate, steps in traces.items():
                    draw = drawn(replicate, table)
                    curve = shares(steps, draw, repeats=repeats, measure=measure)
                    kept = np.flatnonzero(np.diff(curve, prepend=-1.0) > 0)
                    kept = np.union1d(kept, [len(curve) - 1])
                    known = {"measure": measure, "method": label, "replicate": replicate}
                    tables.append(pd.DataFrame(known | {"epochs": kept + 1, "share": curve[kept]}))
    return pd.concat(tables, ignore_index=True)


def epochs_to(table: pd.DataFrame, goal: float) -> pd.Series:
    """Epochs until a goal, by method and replicate; infinite where it was not reached."""
    keys = ["method", "replicate"]
    reached = table[table["share"] >= goal].groupby(keys, sort=False)["epochs"].min()
    everyone = pd.MultiIndex.from_frame(table[keys].drop_duplicates())
    return reached.reindex(everyone).fillna(np.inf)


def quartiles(table: pd.DataFrame, goal: float) -> pd.DataFrame:
    """Epochs to a goal by method, columns 0.25, 0.5, 0.75."""
    by_method = epochs_to(table, goal).groupby("method", sort=False)
    return by_method.apply(_quartiles).unstack()


def _quartiles(epochs: pd.Series) -> pd.Series:
    # "nearest": there is no value between a finite and an infinite one
    low, high = np.quantile(epochs, [0.25, 0.75], method="nearest")
    return pd.Series([low, np.median(epochs), high], index=[0.25, 0.5, 0.75])


def summary(table: pd.DataFrame, measure: str, limit: int) -> Table:
    """The figures of a measure by method, and their ratio to the best plain sampler's median.

    ``limit`` is the number of epochs after which the searches ended.
    """
    part = table[table["measure"] == measure]
    grid = Table(title=f"epochs to a share of the front's hypervolume; reference: {measure}")
    grid.add_column("method")
    grid.add_column("seeds", justify="right")
    seeds = part.groupby("method")["replicate"].nunique()
    columns = []
    for goal in GOALS:
        grid.add_column(f"{goal:.0%}", justify="right")
        grid.add_column("of best plain", justify="right")
        found = quartiles(part, goal)
        plain = [name for name in found.index if name.removesuffix(", cached") in PLAIN_NAMES]
        columns.append((found, found.loc[plain, 0.5].min()))
    for name in columns[0][0].index:
        cells = []
        for goal, (found, best) in zip(GOALS, columns, strict=True):
            quartet = found.loc[name]
            middle = quartet[0.5]
            ratio = f"{middle / best:.2f}" if np.isfinite(middle) else ""
            if name in BOTORCH and goal > GOALS[0]:
                cells += ["not searched", ""]
                continue
            values = [f"{each:.0f}" if np.isfinite(each) else f">{limit}" for each in quartet]
            cells += ["{1} [{0}, {2}]".format(*values), ratio]
        grid.add_row(name, str(seeds[name]), *cells)
    return grid
