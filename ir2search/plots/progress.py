"""The progress of a search: hypervolume by trial, accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ir2search.plots.style import BLUE, GREY, axes_or_new

MAX_LABELLED = 12  # more curves in colour have no legend


def hypervolume(trials: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the hypervolume of the front after each trial.

    Args:
        trials: with ``number`` and ``hypervolume``, from 0 to 1, as in a report's
            ``trials.parquet``.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, (7.0, 3.8))
    ax.step(trials["number"], trials["hypervolume"], where="post", color=BLUE)
    ax.set(xlabel="trial", ylabel="hypervolume (share of the box)", ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def curves(curves: pd.DataFrame, members: Sequence[int] = (), *, ax: Axes | None = None) -> Axes:
    """Draw learning curves, some of them in colour.

    Args:
        curves: a row for each epoch of each trial: ``number`` of the trial, ``epoch``, and
            ``accuracy`` on validation images, from 0 to 1.
        members: numbers of the trials in colour, usually those on the front.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, (7.0, 4.2))
    for number, curve in curves.groupby("number"):
        if number not in members:
            ax.plot(curve["epoch"], curve["accuracy"], color=GREY, alpha=0.45, lw=1, zorder=1)
    colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.9, max(1, len(members))))
    for number, colour in zip(members, colours, strict=False):
        curve = curves[curves["number"] == number]
        ax.plot(curve["epoch"], curve["accuracy"], color=colour, zorder=2, label=f"trial {number}")
    ax.set(xlabel="epoch", ylabel="validation accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if 0 < len(members) <= MAX_LABELLED:
        ax.legend(fontsize=8, ncols=2, loc="lower right").set_in_layout(False)
    return ax
