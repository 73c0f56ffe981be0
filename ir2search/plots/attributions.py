"""Attributions: their flow through the network, and how faithful each method is."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from ir2search.measures.names import RANDOM_ORDER
from ir2search.measures.tables import attribution_flow
from ir2search.plots.sources import AnalysisData, of_analysis
from ir2search.plots.style import (
    BLACK,
    BLUE,
    DASHES,
    GREY,
    ORANGE,
    PALETTE,
    axes_or_new,
    depth_size,
    label_layers,
    method_label,
    new_axes,
)

BANDS = {  # label, colour and hatch of each band of the flow
    "kept": ("where it was before", BLUE, ""),
    "moved": ("elsewhere in the layer", GREY, ".."),
    "bypassing": ("past the layer, through taps", ORANGE, "//"),
}
FAITHFULNESS_SIZE = 7.6, 3.6  # inches
PANELS = {"deletion": "pixels blanked", "insertion": "pixels put back"}


def flow(
    shares: AnalysisData,
    trial: str = "best",
    method: str | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the flow of attribution through the layers, as bands.

    Args:
        shares: an analysis, a run with one, or a row for each layer, with the layer as index:
            the shares of attribution that are ``kept`` at the positions of the layer before,
            ``moved`` to other positions of the layer, and ``bypassing`` the layer through taps.
            They add up to 1.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        method: the attribution method of a run's analysis; None for its first one.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    shares = of_analysis(shares, trial, lambda table: attribution_flow(table, method))
    ax = axes_or_new(ax, depth_size(len(shares), 3.6))
    bands = ax.stackplot(
        range(len(shares)),
        [shares[column] for column in BANDS],
        labels=[label for label, _, _ in BANDS.values()],
        colors=[colour for _, colour, _ in BANDS.values()],
    )
    for band, (_, _, hatch) in zip(bands, BANDS.values(), strict=True):
        band.set_hatch(hatch)
        band.set_edgecolor("white")
    label_layers(ax, shares.index)
    ax.set(ylim=(0, 1), xlim=(0, max(1, len(shares) - 1)), ylabel="attribution")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), ncols=3)
    return ax


def faithfulness(curves: pd.DataFrame, *, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw the probability of the label while pixels are blanked, and while they are put back.

    Args:
        curves: a row for each point: ``curve``, which is ``"deletion"`` or ``"insertion"``; the
            ``method`` that orders the pixels, or ``"random order"``; ``share`` of pixels and
            ``probability`` of the label, both from 0 to 1.
        axes: two axes, for deletion and for insertion; a new figure if None.
    """
    if axes is None:
        axes = list(new_axes(FAITHFULNESS_SIZE, 1, 2, share_y=True)[0])
    for ax, (name, label) in zip(axes, PANELS.items(), strict=True):
        shown = curves[curves["curve"] == name]
        number = 0
        for method, rows in shown.groupby("method", sort=False):
            colour, dash = PALETTE[number % len(PALETTE)], DASHES[number % 3]
            if method == RANDOM_ORDER:
                colour, dash = BLACK, ":"
            else:
                number += 1
            line = method_label(str(method))
            ax.plot(rows["share"], rows["probability"], color=colour, linestyle=dash, label=line)
        ax.set(xlabel=label, title=name)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].set_ylabel("probability of the label")
    figure = axes[0].figure
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return axes
