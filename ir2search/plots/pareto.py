"""Fronts: accuracy against costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import PercentFormatter

from ir2search import escape, text
from ir2search.plots.style import (
    BLACK,
    GREY,
    MARKERS,
    PALETTE,
    axes_or_new,
    column_width,
    legend_above,
    trial_colours,
)
from ir2search.study.objectives import OBJECTIVES

if TYPE_CHECKING:
    from ir2search.runs import Run

# round numbers, for ticks and budgets
ROUND = [m * 10.0**e for e in range(-4, 16) for m in (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)]
MAX_NUMBERED = 12  # members of a larger front are drawn without their numbers
# of a member's number: x and y offset from its point, in points, and horizontal alignment
PLACES = ((-6, 7, "right"), (6, 7, "left"), (6, -13, "left"), (-6, -13, "right"))
LOOKS = tuple(  # each colour with each marker; neighbours differ in both
    (colour, MARKERS[(place + shift) % len(MARKERS)])
    for shift in range(len(MARKERS))
    for place, colour in enumerate(PALETTE)
)


def front(
    data: pd.DataFrame | Run,
    trials: pd.DataFrame | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a front: its members, their test accuracies, and the dominated trials.

    Args:
        data: a run, or a front as `ir2search.front` returns it. Bars are the 95% intervals of the
            validation accuracies, if they are known. The knee of a run is marked; the
            knee of a front is marked if there is a column ``is_knee``.
        trials: all trials as `ir2search.trials` returns them; dominated ones are drawn in grey.
            None for no dominated trials; ignored for a run, which has its own trials.
        x: name of the objective on the horizontal axis, such as ``"ops"`` or ``"memory"``; None
            for the first cost in the run's objectives, or ``"ops"``.
        y: name of the objective on the vertical axis; None for the accuracy.
        ax: axes to draw on; a new figure if None.
    """
    if isinstance(data, pd.DataFrame):
        front, names = data, ["accuracy", "ops"]
    else:
        (front, trials), names = front_and_trials(data), accuracy_first(data.study.objectives)
    ax = axes_or_new(ax, (7.0, 4.6))
    _draw_front(ax, front, trials, x or names[1], y or names[0])
    _blacken(legend_above(ax))
    return ax


def front_panels(
    front: pd.DataFrame, trials: pd.DataFrame, objectives: Sequence[str], width: float
) -> Figure:
    """Draw a front with a panel for each cost.

    Two panels stand side by side if the figure is wide enough.

    Args:
        front: as in `front`.
        trials: as in `front`.
        objectives: names of the study's objectives; accuracy, or else the first one, is on all
            vertical axes.
        width: width of the figure, in inches.
    """
    y, *costs = accuracy_first(objectives)
    across = min(len(costs), 2) if width > 5 else 1
    down = -(-len(costs) // across)
    figure = Figure(figsize=(width, down * (0.62 * width / across + 0.3)))
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for unused in axes[len(costs) :]:
        unused.remove()
    for ax, cost in zip(axes, costs, strict=False):
        _draw_front(ax, front, trials, cost, y)
    handles, labels = axes[0].get_legend_handles_labels()
    columns = 4 if width > 5 else 2
    _blacken(figure.legend(handles, labels, loc="outside upper center", ncols=columns, fontsize=8))
    return figure


def fronts(
    fronts: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    *,
    x: str = "ops",
    y: str = "accuracy",
    ax: Axes | None = None,
) -> Axes:
    """Draw fronts over each other.

    Args:
        fronts: fronts as `ir2search.front` returns them, by name of the run. Several fronts of one
            name, such as those of a study from several seeds, look the same.
        x: name of the objective on the horizontal axis.
        y: name of the objective on the vertical axis.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, (7.0, 4.6))
    across, up = OBJECTIVES[x], OBJECTIVES[y]
    several = {
        name: [given] if isinstance(given, pd.DataFrame) else given
        for name, given in fronts.items()
    }
    for (name, same), (colour, marker) in zip(several.items(), cycle(LOOKS), strict=False):
        for place, front in enumerate(same):
            members = front.sort_values(across.column)
            costs, values = members[across.column], members[up.column]
            label = "" if place else escape.figure(name)
            ax.step(costs, values, where="post", color=colour, alpha=0.5)
            ax.scatter(costs, values, c=colour, marker=marker, label=label)
    _label_axes(ax, x, y)
    _count_axis(ax, *(front[across.column] for same in several.values() for front in same))
    ax.legend(loc="best").set_in_layout(False)
    return ax


def compare(
    runs: Sequence[Run] | Mapping[str, Run | pd.DataFrame],
    *,
    x: str = "ops",
    y: str = "accuracy",
    ax: Axes | None = None,
) -> Axes:
    """Draw the fronts of runs over each other.

    Args:
        runs: runs, or runs or fronts by name. Runs without names have the name of their
            folder.
        x: name of the objective on the horizontal axis.
        y: name of the objective on the vertical axis.
        ax: axes to draw on; a new figure if None.

    Raises:
        ValueError: two runs have the same name.
    """
    return fronts(named_fronts(runs), x=x, y=y, ax=ax)


def named_fronts(
    runs: Sequence[Run] | Mapping[str, Run | pd.DataFrame],
) -> dict[str, pd.DataFrame]:
    """The fronts of runs by name, see `compare`."""
    if not isinstance(runs, Mapping):
        names = [run.folder.resolve().name for run in runs]
        if len(set(names)) < len(names):
            raise ValueError("two runs have the same name; give a dictionary of runs by name")
        runs = dict(zip(names, runs, strict=True))
    return {
        name: run if isinstance(run, pd.DataFrame) else run.front() for name, run in runs.items()
    }


def accuracy_first(objectives: Sequence[str]) -> list[str]:
    """Names of objectives; accuracy is first if it is one of them."""
    return sorted(objectives, key=lambda name: name != "accuracy")


def _blacken(legend: Legend) -> None:
    """Draw the marks of a front's legend in black: its networks have a colour each."""
    for handle, name in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if isinstance(handle, PathCollection) and name.get_text().startswith("front"):
            handle.set_color(BLACK)


def front_and_trials(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The front of a run, with its knee, and all of its trials."""
    front = run.front()
    knee = run.pick("knee") if len(front) else None
    return front.assign(is_knee=front["number"] == knee), run.trials()


def _draw_front(ax: Axes, front: pd.DataFrame, trials: pd.DataFrame | None, x: str, y: str) -> None:
    across, up = OBJECTIVES[x].column, OBJECTIVES[y].column
    members = front.sort_values(across)
    others = off_the_front(front, trials)
    if trials is not None:
        ax.scatter(others[across], others[up], s=18, c=GREY, label=name_of_others(others))
    values = members[up]
    if values.is_monotonic_increasing or values.is_monotonic_decreasing:
        ax.step(members[across], values, where="post", color=GREY, lw=0.8)
    by_trial = trial_colours(front["number"])
    colours = [by_trial[number] for number in members["number"]]
    ax.scatter(
        members[across],
        values,
        s=40,
        c=colours,
        zorder=3,
        label=f"front ({kind_of_accuracies(members)})",
    )
    if y == "accuracy" and "accuracy_low" in members:
        ends = [values - members["accuracy_low"], members["accuracy_high"] - values]
        bars = np.array([each.to_numpy(dtype=float) for each in ends])
        ax.errorbar(
            members[across], values, np.maximum(bars, 0), fmt="none", ecolor=GREY, elinewidth=0.8
        )
    if y == "accuracy":
        tested = members.dropna(subset="test_accuracy")
        ax.scatter(
            tested[across], tested["test_accuracy"], s=34, marker="x", c=BLACK, zorder=4,
            label="test",
        )  # fmt: skip
    if "is_knee" in members:
        knee = members[members["is_knee"]]
        ax.scatter(
            knee[across], knee[up], s=150, facecolors="none", edgecolors=BLACK, linewidths=1.2,
            label="knee",
        )  # fmt: skip
    _label_axes(ax, x, y)
    if y == "accuracy":
        ax.set_ylabel("accuracy")  # on validation and on test images
    _count_axis(ax, members[across], others[across])
    if len(members) <= MAX_NUMBERED and column_width(ax) > 3.4:
        ax.margins(y=0.1)  # room for the number of the highest member
        _number_members(ax, members, across, up, colours)


def off_the_front(front: pd.DataFrame, trials: pd.DataFrame | None) -> pd.DataFrame:
    """Trained trials that are not on the front."""
    if trials is None:
        return front.iloc[:0]
    trained = trials[trials["state"] == "trained"]
    return trained[~trained["number"].isin(front["number"])]


def kind_of_accuracies(members: pd.DataFrame) -> str:
    """What the accuracies of a front are."""
    kinds = list(members["how"].unique()) if "how" in members else []
    return ", ".join(["validation", *kinds])


def name_of_others(others: pd.DataFrame) -> str:
    """The name of the trials that are not on the front; kinds of accuracies are not compared."""
    if "how" not in others:
        return "dominated"
    return f"not on the front ({', '.join(others['how'].unique())})"


def _number_members(
    ax: Axes, members: pd.DataFrame, across: str, up: str, colours: Sequence[str]
) -> None:
    """Write the number of each member beside it, at the first place that is free."""
    points = members[[across, up]].to_numpy(dtype=float)
    pixels = ax.transData.transform(points) * 72 / ax.figure.dpi
    taken: list[tuple[float, float]] = []
    rows = zip(members["number"], points, pixels, colours, strict=True)
    for number, point, (right, top), colour in rows:
        width = 5.5 * len(str(number))
        for x, y, side in PLACES:
            place = right + x - (width if side == "right" else 0), top + y
            if not any(abs(place[0] - u) < width and abs(place[1] - v) < 9 for u, v in taken):
                break
        taken.append(place)
        name = ax.annotate(
            str(number), tuple(point), textcoords="offset points", xytext=(x, y), ha=side,
            fontsize=8, color=colour,
        )  # fmt: skip
        name.set_in_layout(False)


def _label_axes(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(OBJECTIVES[x].label)
    ax.set_ylabel(OBJECTIVES[y].label)
    if y == "accuracy":
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def _count_axis(ax: Axes, *columns: pd.Series[Any]) -> None:
    """A logarithmic scale with ticks such as 0.5, 20 k and 50 k; linear if a cost is zero."""
    ax.xaxis.set_major_formatter(lambda value, _: text.count(value))
    values = np.concatenate([column.to_numpy(dtype=float) for column in columns])
    if not len(values) or values.min() <= 0:
        return
    ax.set_xscale("log")
    low, high = values.min(), values.max()
    inside = [tick for tick in ROUND if low * 0.8 <= tick <= high * 1.25]
    most = int(1.4 * column_width(ax))
    ax.set_xticks(inside if len(inside) <= most else inside[:: len(inside) // most + 1])
    ax.minorticks_off()
    ax.xaxis.set_major_formatter(lambda value, _: text.count(value))  # set_xscale replaced it
    ax.set_xlim(low * 0.8, high * 1.25)
