"""The style sheet, the colours, and functions for axes that all figures use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend

from ir2search import escape

STYLE = Path(__file__).with_name("ir2search.mplstyle")
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, BLACK = PALETTE = (  # Okabe and Ito, as in the style sheet
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
GREY = "#999999"
DASHES = ("-", "--", "-.", ":")
MARKERS = "os^vDx*"


def axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The given axes, or new ones; ``size`` is the width and height of a new figure in inches."""
    new: Axes = new_axes(size)[0, 0] if ax is None else ax
    return new


def new_axes(
    size: tuple[float, float], rows: int = 1, columns: int = 1, *, share_y: bool = False
) -> np.ndarray:
    """Axes of a new pyplot figure in the package's style, (rows, columns).

    Args:
        size: width and height of the figure, in inches.
        rows: number of rows of axes.
        columns: number of columns of axes.
        share_y: whether all axes have the same vertical scale.
    """
    from matplotlib import pyplot as plt

    with mpl.rc_context(), matplotlib.style.context(str(STYLE)):
        _, axes = plt.subplots(rows, columns, figsize=size, sharey=share_y, squeeze=False)
    return axes


def column_width(ax: Axes) -> float:
    """Width in inches of the figure's column that contains the axes."""
    grid = ax.get_subplotspec()
    columns = 1 if grid is None else grid.get_gridspec().ncols
    return round(float(ax.figure.bbox.width / ax.figure.dpi / columns), 3)


def depth_size(layers: int, height: float) -> tuple[float, float]:
    """Width and height in inches of a figure with layers on its horizontal axis."""
    return max(6.4, 0.5 * layers + 2), height


def label_layers(ax: Axes, layers: Iterable[Any]) -> None:
    """Label the horizontal axis with the names of layers."""
    names = [escape.figure(layer) for layer in layers]
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")


def legend_above(ax: Axes, handles: Sequence[Artist] | None = None) -> Legend:
    """Add a legend above the axes, for all labelled artists or for the given ones."""
    given = {} if handles is None else {"handles": handles}
    return ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, **given)


def method_label(name: str) -> str:
    """The name of a method for a legend: "grad cam" for "grad_cam"."""
    return escape.figure(name.replace("_", " "))
