"""The progress of a search: hypervolume by trial, accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ir2search import escape
from ir2search.plots import sources
from ir2search.plots.style import (
    BLUE,
    GREY,
    axes_or_new,
    label_ends,
    trial_colours,
    trial_dashes,
)

if TYPE_CHECKING:
    from ir2search.runs import Run

MAX_LABELLED = 12  # more curves in colour have no names


def hypervolume(trials: pd.DataFrame | Run, *, ax: Axes | None = None) -> Axes:
    """Draw the hypervolume of the front after each trial.

    Args:
        trials: a run, or a frame with ``number`` and ``hypervolume``, from 0 to 1, as in a report's
            ``trials.parquet``.
        ax: axes to draw on; a new figure if None.
    """
    if not isinstance(trials, pd.DataFrame):
        trials = sources.hypervolume_frame(trials)
    ax = axes_or_new(ax, (7.0, 3.8))
    ax.step(trials["number"], trials["hypervolume"], where="post", color=BLUE)
    ax.set(xlabel="trial", ylabel="hypervolume (share of the box)", ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def curves(
    curves: pd.DataFrame | Run | str | Path,
    members: Sequence[int] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw learning curves, some of them in colour.

    Args:
        curves: a run, or a row for each epoch of each trial: ``number`` of the trial, ``epoch``,
            and ``accuracy`` on validation images, from 0 to 1; or a folder of
            `ir2search.train_network`, whose one curve is drawn.
        members: numbers of the trials in colour; None for the front of a run, and for none of a
            frame.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the folder has no training.
    """
    is_single = isinstance(curves, str | Path)
    curves, members = sources.curve_frame(curves, members)
    ax = axes_or_new(ax, (7.0, 4.2))
    for number, curve in curves.groupby("number"):
        if number not in members:
            ax.plot(curve["epoch"], curve["accuracy"], color=GREY, lw=0.6, zorder=1)
    colours, dashes = trial_colours(members), trial_dashes(members)
    named = []
    for number in members:
        curve = curves[curves["number"] == number]
        if len(curve):
            named += ax.plot(
                curve["epoch"], curve["accuracy"], color=colours[number],
                linestyle=dashes[number], zorder=2, label=f"trial {number}",
            )  # fmt: skip
    ax.set(xlabel="epoch", ylabel="validation accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(named) <= MAX_LABELLED and not is_single:
        label_ends(ax, named)
    return ax


def importances(
    data: pd.DataFrame | Run, target: str = "accuracy", *, ax: Axes | None = None
) -> Axes:
    """Draw how much each searched parameter matters, the most important one at the top.

    Args:
        data: a run, or a frame with ``target``, ``parameter`` and ``share``, from 0 to 1. Those of
            a run are by functional ANOVA (Hutter et al., ICML 2014); the axes are empty if they are
            not measurable, see `ir2search.runs.parameters.Explained`.
        target: ``"accuracy"`` or ``"ops"``.
        ax: axes to draw on; a new figure if None.
    """
    table = data if isinstance(data, pd.DataFrame) else sources.importance_frame(data)
    found = table[table["target"] == target].sort_values("share")
    ax = axes_or_new(ax, (7.0, max(2.2, 0.32 * len(found) + 1.2)))
    if found.empty:
        note = "too few trained trials to measure importances"
        ax.text(0.5, 0.5, note, ha="center", transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    ax.barh([escape.figure(name) for name in found["parameter"]], found["share"], color=BLUE)
    ax.set(xlabel=f"importance for {target}", xlim=(0, 1))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    return ax
