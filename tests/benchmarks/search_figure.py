"""The figure of search.py: the share of the true front over epochs, a panel for each table."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from curve_table import DIGITS
from matplotlib.axes import Axes
from search_methods import GOALS
from search_results import quartiles

from ir2search.plots.style import BLUE, STYLE

RESULT = "search.parquet"
FIGURE = "search.png"
SHOWN = {  # methods of the figure, with their labels; the first two are ours
    "ours: ehvi, rungs": "ehvi with rungs (ours)",
    "ours: ehvi": "ehvi (ours)",
    "gp, cached": "GP (Optuna)",
    "tpe, cached": "TPE (Optuna)",
    "random, cached": "random",
}
LOOKS = (
    (BLUE, "-", 2.4), (BLUE, "--", 1.6), ("0.3", "-", 1.4), ("0.3", "--", 1.4), ("0.6", "-", 1.4),
)  # fmt: skip
TITLES = {"truth": "232 networks on 8 x 8 digits", "truth_cifar10": "networks on CIFAR-10"}
FIRST, LAST = 40, 1000  # epochs at the ends of the axis: later all lines are at the top
GAP = 0.06  # between two labels, as a share of the vertical axis


def result_file(report: Path, table: Path) -> Path:
    """Where the results of a table of curves are; those of digits are at the top."""
    return report / RESULT if table.stem == DIGITS.stem else report / table.stem / RESULT


def draw_figure(report: Path) -> None:
    """Draw shares over epochs, the median over the replicates: a panel for each table of curves."""
    files = {DIGITS.stem: report / RESULT}
    files |= {file.parent.name: file for file in sorted(report.glob(f"*/{RESULT}"))}
    tables = {name: pd.read_parquet(file) for name, file in files.items() if file.exists()}
    plt.style.use(STYLE)
    figure, panels = plt.subplots(
        1, len(tables), figsize=(7.6 * len(tables), 4.4), sharey=True, squeeze=False
    )
    for side, (name, table) in zip(panels[0], tables.items(), strict=True):
        draw_panel(side, table[table["measure"] == "worst"])
        searches = f"{table['replicate'].nunique()} searches each"
        side.set_title(f"{TITLES.get(name, name)}, {searches}", loc="left")
    panels[0, 0].set_ylabel("share of the true front's hypervolume")
    figure.savefig(report / FIGURE)


def draw_panel(side: Axes, table: pd.DataFrame) -> None:
    """Draw the methods of `SHOWN`, with labels at the ends of their lines."""
    grid = np.unique(np.geomspace(FIRST, LAST, 300).astype(int))
    ends = []
    best = quartiles(table, GOALS[0])[0.5]
    looks = {name: look for name, look in zip(SHOWN, LOOKS, strict=True) if name in best}
    for name, (colour, dashes, width) in looks.items():
        rows = table[table["method"] == name].groupby("replicate")
        curves = np.stack([at(rows.get_group(one), grid) for one in rows.groups])
        low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
        side.plot(grid, middle, dashes, color=colour, lw=width)
        if name == next(iter(SHOWN)):
            side.fill_between(grid, low, high, color=colour, alpha=0.15, linewidth=0)
        ends.append((float(middle[-1]), SHOWN[name], colour, dashes))
    side.axhline(GOALS[0], color="0.5", linewidth=0.8, linestyle=":")
    side.text(FIRST + 1, GOALS[0], "95%", va="bottom", fontsize=8, color="0.35")
    for name, (colour, _, _) in looks.items():
        if name in ("ours: ehvi, rungs", "tpe, cached") and np.isfinite(best[name]):
            side.plot(best[name], GOALS[0], "o", color=colour, ms=5)
            shift, said_at = ((4, -14), "left") if colour == BLUE else ((0, -40), "center")
            side.annotate(
                f"{best[name]:.0f} epochs", (best[name], GOALS[0]), shift,
                textcoords="offset points", ha=said_at, fontsize=8, color=colour,
            )  # fmt: skip
    low, high = 0.6, 1.01
    side.set(xscale="log", xlabel="epochs spent", xlim=(FIRST, LAST), ylim=(low, high))
    side.set_xticks([50, 100, 200, 500, 1000], ["50", "100", "200", "500", "1,000"])
    side.minorticks_off()
    place = high + GAP * (high - low)
    for value, label, colour, dashes in sorted(ends, reverse=True):
        place = min(value, place - GAP * (high - low))
        side.annotate(
            label, (LAST, value), (1.1, (place - low) / (high - low)),
            textcoords="axes fraction", va="center", fontsize=9, color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "ls": dashes, "relpos": (0, 0.5)},
        )  # fmt: skip


def at(rows: pd.DataFrame, epochs: np.ndarray) -> np.ndarray:
    """The share of one replicate after each of these numbers of epochs."""
    places = np.searchsorted(rows["epochs"], epochs, side="right") - 1
    return np.where(places >= 0, rows["share"].to_numpy()[np.maximum(places, 0)], 0.0)
