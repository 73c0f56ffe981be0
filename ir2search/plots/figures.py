"""Figures, each drawn from a table; none computes anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ir2search import text
from ir2search.report.comparison import Comparison
from ir2search.report.tables import ReportData
from ir2search.study.objectives import OBJECTIVES

STYLE = Path(__file__).with_name("ir2search.mplstyle")
FRONT, DIMMED, KNEE = "#0072B2", "#999999", "#D55E00"


NAMED = 12  # members of a front, above which figures do not say which is which
COLUMNS = {"": 7.0, "-column": 3.4}  # inches: over both columns of a paper, and in one


def save(draw: Callable[[], Figure], file: Path) -> None:
    """Draw in the package's style and write ``file`` with the suffixes .png, .svg and .pdf."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(), matplotlib.style.context(str(STYLE)):
        figure = draw()
        figure.savefig(file.with_suffix(".png"))
        figure.set_layout_engine("none")  # it is laid out now
        figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(file.with_suffix(".pdf"), metadata={"CreationDate": None})


def front_figure(data: ReportData, width: float) -> Figure:
    """The front: accuracy (or the first objective) against every other objective, a panel each.

    Panels stand side by side where the width in inches has room for them.
    """
    vertical, *others = sorted(data.study.objectives, key=lambda name: name != "accuracy")
    across = min(len(others), 2) if width > 5 else 1
    down = -(-len(others) // across)
    figure = Figure(figsize=(width, down * (0.62 * width / across + 0.3)))
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for unused in axes[len(others) :]:
        unused.remove()
    for axis, name in zip(axes, others, strict=False):
        columns = OBJECTIVES[name].column, OBJECTIVES[vertical].column
        _front_panel(axis, data, *columns, width / across)
        axis.set_xlabel(OBJECTIVES[name].label)
        axis.set_ylabel(vertical if vertical == "accuracy" else OBJECTIVES[vertical].label)
    _inside(axes[0].legend(loc="best"))
    return figure


def _front_panel(axis: Axes, data: ReportData, x: str, y: str, width: float) -> None:
    trained = data.trials[data.trials["state"] == "trained"]
    dominated = trained[~trained["on_front"]]
    front = data.front.sort_values(x)
    axis.scatter(dominated[x], dominated[y], s=22, c=DIMMED, alpha=0.7, label="dominated")
    if len(data.study.objectives) == 2:
        axis.step(front[x], front[y], where="post", color=FRONT, alpha=0.6)
    axis.scatter(front[x], front[y], s=40, c=FRONT, zorder=3, label="front (validation)")
    if y == "accuracy":
        tested = front.dropna(subset="test_accuracy")
        axis.scatter(
            tested[x], tested["test_accuracy"], s=34, marker="x", c="black", zorder=4, label="test"
        )
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    best = front[front["is_knee"]]
    axis.scatter(
        best[x], best[y], s=150, facecolors="none", edgecolors=KNEE, linewidths=2, label="knee"
    )
    is_roomy = len(front) <= NAMED and width > COLUMNS["-column"]
    for row in front.itertuples() if is_roomy else ():
        name = axis.annotate(
            str(row.number),
            (float(getattr(row, x)), float(getattr(row, y))),
            textcoords="offset points",
            xytext=(-6, 7),
            ha="right",
            fontsize=8,
            color=FRONT,
        )
        name.set_in_layout(False)
    _log_axis(axis, width, front[x], dominated[x])


def _log_axis(axis: Axes, width: float, *columns: pd.Series[Any]) -> None:
    """A log scale with ticks that read 0.5, 20 k, 50 k; linear where some cost is zero.

    As many ticks as have room in a width in inches.
    """
    axis.xaxis.set_major_formatter(lambda value, _: text.count(value))
    values = np.concatenate([column.to_numpy(dtype=float) for column in columns])
    if not len(values) or values.min() <= 0:
        return
    axis.set_xscale("log")
    low, high = values.min(), values.max()
    nice = [m * 10.0**e for e in range(-4, 16) for m in (1, 1.5, 2, 3, 5, 7)]
    inside = [tick for tick in nice if low * 0.8 <= tick <= high * 1.25]
    most = int(1.4 * width)
    axis.set_xticks(inside if len(inside) <= most else inside[:: len(inside) // most + 1])
    axis.minorticks_off()
    axis.xaxis.set_major_formatter(lambda value, _: text.count(value))  # the scale has put its own
    axis.set_xlim(low * 0.8, high * 1.25)


def _inside(legend: Legend) -> None:
    """A legend over the axes asks for no room beside them."""
    legend.set_in_layout(False)


def hypervolume_figure(data: ReportData, width: float) -> Figure:
    """Hypervolume of the front after each trial."""
    figure = Figure(figsize=(width, 0.5 * width + 0.3))
    axis = figure.subplots()
    axis.step(data.trials["number"], data.trials["hypervolume"], where="post", color=FRONT)
    axis.set_xlabel("trial")
    axis.set_ylabel("hypervolume (share of the box)")
    axis.set_ylim(0, 1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def curves_figure(data: ReportData, width: float) -> Figure:
    """Learning curves of all trials, those of the front in colour."""
    figure = Figure(figsize=(width, 0.55 * width + 0.3))
    axis = figure.subplots()
    members = list(data.front["number"])
    for number, curve in data.curves.groupby("number"):
        if number not in members:
            axis.plot(curve["epoch"], curve["accuracy"], color=DIMMED, alpha=0.45, lw=1, zorder=1)
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.9, max(1, len(members))))
    for number, colour in zip(members, colours, strict=False):
        curve = data.curves[data.curves["number"] == number]
        axis.plot(
            curve["epoch"], curve["accuracy"], color=colour, zorder=2, label=f"trial {number}"
        )
    axis.set_xlabel("epoch")
    axis.set_ylabel("validation accuracy")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if 0 < len(members) <= NAMED:
        _inside(axis.legend(fontsize=8, ncols=2, loc="lower right"))
    return figure


def fronts_figure(comparison: Comparison, width: float) -> Figure:
    """Two runs' fronts over each other: accuracy (or the first objective) by the first cost."""
    vertical, horizontal, *_ = sorted(comparison.reference, key=lambda name: name != "accuracy")
    x, y = OBJECTIVES[horizontal], OBJECTIVES[vertical]
    figure = Figure(figsize=(width, 0.62 * width + 0.3))
    axis = figure.subplots()
    looks = zip(comparison.names, comparison.fronts, (FRONT, KNEE), ("o", "s"), strict=True)
    for name, front, colour, marker in looks:
        members = front.sort_values(x.column)
        axis.step(members[x.column], members[y.column], where="post", color=colour, alpha=0.5)
        axis.scatter(members[x.column], members[y.column], c=colour, marker=marker, label=name)
    if vertical == "accuracy":
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    _log_axis(axis, width, *(front[x.column] for front in comparison.fronts))
    axis.set_xlabel(x.label)
    axis.set_ylabel(y.label)
    _inside(axis.legend(loc="best"))
    return figure


FIGURES: dict[str, Callable[[ReportData, float], Figure]] = {
    "front": front_figure,
    "hypervolume": hypervolume_figure,
    "curves": curves_figure,
}
