"""How sensitive a network is to the precision of each layer."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ir2search.errors import InputError
from ir2search.measures.tables import sensitivity_table
from ir2search.plots.sources import AnalysisData, of_analysis
from ir2search.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    axes_or_new,
    depth_size,
    label_layers,
    legend_above,
)

Direction = Literal["binarised", "released"]
LOOKS = {  # colour, marker and place of each part
    "weights": (BLUE, "^", -0.2),
    "activations": (ORANGE, "s", 0.0),
    "both": (BLACK, "o", 0.2),
}
LABELS: dict[Direction, str] = {
    "binarised": "twin with this\nbinarised (points)",
    "released": "binary network with\nthis released (points)",
}


def sensitivity(
    swept: AnalysisData,
    direction: Direction | None = None,
    trial: str = "best",
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw how accuracy changes if one layer, one stage or the network changes its precision.

    A mark is hollow if its interval includes zero: then there may be no change.

    Args:
        swept: an analysis, a run with one, or a row for each change, as
            `ir2search.measures.sensitivity_table` returns it.
        direction: ``"binarised"`` for the full-precision twin, ``"released"`` for the binary
            network; None for the first of them that was measured.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        ax: axes to draw on; a new figure if None.

    Raises:
        InputError: the analysis has no such changes.
        RunError: the trial was not analysed.
    """
    swept = of_analysis(swept, trial, sensitivity_table)
    if direction is None:
        has_twin = swept["binarised_accuracy_points"].notna().any()
        direction = "binarised" if has_twin else "released"
    column = f"{direction}_accuracy_points"
    if not swept[column].notna().any():
        raise InputError(
            f"sensitivity: the analysis has no layer that was {direction}; analyse with the sweep, "
            "and for binarised layers with a twin"
        )
    names = swept["layer"].drop_duplicates().tolist()
    ax = axes_or_new(ax, depth_size(len(names), 3.4))
    ax.axhline(0, color=BLACK, lw=0.8)
    for part, (colour, marker, shift) in LOOKS.items():
        rows = swept[(swept["part"] == part) & swept[column].notna()]
        if rows.empty:
            continue
        places = rows["layer"].map(names.index).to_numpy() + shift
        value, low, high = (rows[f"{column}{end}"].to_numpy() for end in ("", "_low", "_high"))
        ax.errorbar(places, value, [value - low, high - value], fmt="none", ecolor=colour, lw=0.8)
        faces = np.where((low > 0) | (high < 0), colour, "white")
        ax.scatter(
            places, value, s=18, marker=marker, c=faces, edgecolors=colour, lw=0.8, zorder=3,
            label=part,
        )  # fmt: skip
    kinds = swept.drop_duplicates("layer")["kind"].tolist()
    for place in range(1, len(kinds)):
        if kinds[place] != kinds[place - 1]:
            ax.axvline(place - 0.5, color=GREY, lw=0.8, ls=":")
    ax.set_ylabel(LABELS[direction])
    label_layers(ax, names)
    legend = legend_above(ax)
    for handle, (colour, _, _) in zip(legend.legend_handles, LOOKS.values(), strict=False):
        if handle is not None and hasattr(handle, "set_facecolor"):
            handle.set_facecolor(colour)
    return ax


def noise_ratios(layers: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the signal-to-quantisation-noise ratio of each layer, in dB.

    Args:
        layers: a row for each layer: ``layer``, ``local_sqnr_db``, and if known
            ``graph_sqnr_db``, each with its interval.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, depth_size(len(layers), 3.4))
    looks = {
        "local_sqnr_db": (BLUE, "-", "o", "local: on the network's own input"),
        "graph_sqnr_db": (GREEN, "--", "^", "graph-wise: against the twin"),
    }
    for column, (colour, dash, marker, label) in looks.items():
        if column in layers and layers[column].notna().any():
            places = np.flatnonzero(layers[column].notna())
            value, low, high = (
                layers[f"{column}{end}"].to_numpy()[places] for end in ("", "_low", "_high")
            )
            ax.plot(places, value, dash, marker=marker, ms=4, color=colour, label=label)
            ax.fill_between(places, low, high, color=colour, alpha=0.18, lw=0)
    ax.set(ylabel="signal to\nnoise (dB)", xlim=(-0.5, len(layers) - 0.5))
    label_layers(ax, layers["layer"])
    legend_above(ax)
    return ax


def sensitivity_panels(swept: pd.DataFrame, layers: pd.DataFrame, title: str) -> Figure:
    """Draw both directions that are known, and the ratios of signal and noise.

    Args:
        swept: as in `sensitivity`.
        layers: as in `noise_ratios`.
        title: title of the figure.
    """
    directions = [each for each in LABELS if swept[f"{each}_accuracy_points"].notna().any()]
    has_noise = bool(layers["local_sqnr_db"].notna().any())
    panels = len(directions) + has_noise
    width, height = depth_size(swept["layer"].nunique(), 3.0 * panels)
    figure = Figure(figsize=(width, height))
    axes = list(np.ravel(figure.subplots(panels, 1, squeeze=False)))
    for direction in directions:
        sensitivity(swept, direction, ax=axes.pop(0))
    if has_noise:
        noise_ratios(layers, ax=axes.pop(0))
    figure.suptitle(title)
    return figure
