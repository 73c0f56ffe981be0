"""The entropy of every channel's sign."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ir2search import escape
from ir2search.measures.tables import channel_entropies
from ir2search.plots.sources import AnalysisData, of_analysis
from ir2search.plots.style import BLACK, BLUE, axes_or_new

TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.99, 1)  # bits
ROW_HEIGHT = 0.64  # share of the distance between two rows


def channels(entropies: AnalysisData, trial: str = "best", *, ax: Axes | None = None) -> Axes:
    """Draw the entropy of every channel's sign: a row of dots for each layer.

    Within a row, a channel with a higher entropy is higher up. A black line marks the median. The
    scale is wider near 1 bit, where most channels are: a place on it is proportional to the
    square root of 1 minus the entropy, thus almost to the share of positive signs minus one half.

    Args:
        entropies: an analysis, a run with one, or a row for each channel: ``layer``, in order of
            depth, and ``entropy`` of the channel's sign, from 0 to 1 bit.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    entropies = of_analysis(entropies, trial, channel_entropies)
    found = entropies.groupby("layer", sort=False)["entropy"]
    layers = {str(name): np.sort(rows) for name, rows in found}
    ax = axes_or_new(ax, channels_size(len(layers)))
    if not layers:
        ax.text(0.5, 0.5, "no signs in this network", ha="center", transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    for row, values in enumerate(layers.values()):
        heights = row + ROW_HEIGHT * (0.5 - (np.arange(len(values)) + 0.5) / len(values))
        ax.scatter(values, heights, s=9, color=BLUE, alpha=0.7, lw=0, clip_on=False)
        middle = float(np.median(values))
        ax.vlines(middle, row - ROW_HEIGHT / 2, row + ROW_HEIGHT / 2, color=BLACK, lw=1.2)
    names = [escape.figure(name.removesuffix(".conv")) for name in layers]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(layers) - 0.4, -0.6)
    _entropy_axis(ax, min(float(values[0]) for values in layers.values()))
    return ax


def channels_size(layers: int) -> tuple[float, float]:
    """Width and height in inches of a figure with a row for each layer."""
    return 7.2, max(2.2, 0.32 * layers + 1.2)


def _entropy_axis(ax: Axes, lowest: float) -> None:
    """A horizontal scale from just below the lowest entropy to 1 bit, wider near 1."""
    ax.set_xscale(
        "function",
        functions=(lambda bits: -np.sqrt(np.clip(1 - bits, 0, None)), lambda place: 1 - place**2),
    )
    first = max(0.0, 1 - 1.1 * max(1 - lowest, 0.01))
    ticks = [tick for tick in TICKS if tick >= first]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(first, 1)
    ax.set_xlabel("entropy of a channel's sign (bits; black: median of the layer)")
