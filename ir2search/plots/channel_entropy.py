"""The entropy of every channel's sign."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ir2search import escape
from ir2search.plots.style import axes_or_new


def channels(entropies: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the entropy of every channel's sign: a row for each layer, the highest first.

    The figure gets a colour bar beside the axes.

    Args:
        entropies: a row for each channel: ``layer``, in order of depth, and ``entropy`` of the
            channel's sign, from 0 to 1 bit.
        ax: axes to draw on; a new figure if None.
    """
    names, grid = _sorted_rows(entropies)
    ax = axes_or_new(ax, channels_size(len(names)))
    image = ax.imshow(grid, aspect="auto", vmin=0, vmax=1, cmap="cividis", interpolation="none")
    ax.set_yticks(range(len(names)), [escape.figure(name.removesuffix(".conv")) for name in names])
    ax.set_xlabel("channels of the layer's input, by entropy")
    ax.grid(visible=False)
    ax.figure.colorbar(image, ax=ax, label="entropy of the sign (bits)")
    return ax


def channels_size(layers: int) -> tuple[float, float]:
    """Width and height in inches of a figure with a row for each layer."""
    return 7.2, max(2.2, 0.28 * layers + 1.2)


def _sorted_rows(entropies: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Names of layers, and sorted entropies (layers, channels), filled up with NaN."""
    found = {
        str(name): np.sort(rows["entropy"].to_numpy())[::-1]
        for name, rows in entropies.groupby("layer", sort=False)
    }
    width = max((len(values) for values in found.values()), default=1)
    grid = np.full((max(1, len(found)), width), np.nan)
    for row, values in zip(grid, found.values(), strict=False):
        row[: len(values)] = values
    return list(found), grid
