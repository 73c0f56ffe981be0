"""The style sheet, the colours, and functions for axes that all figures use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from ir2search import escape

STYLE = Path(__file__).with_name("ir2search.mplstyle")
# After Okabe and Ito; the light ones are darker, so that each has a contrast of 3:1 to white. As in
# the style sheet.
BLUE, ORANGE, GREEN, PINK, OCHRE, VIOLET, BLACK = PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#B5559A", "#9A6B00", "#6A4FB3", "#000000",
)  # fmt: skip
GREY = "#8A8A8A"
WHITE = "#FFFFFF"
GRID = "#8C8C8C"
ON_DARK = {  # the same colours on a dark page
    BLUE: "#5AB4F0", ORANGE: "#FF8F45", GREEN: "#2CC79A", PINK: "#E394C6", OCHRE: "#E6B422",
    VIOLET: "#B7A2F5", BLACK: "#E8E8E8", GREY: "#8F949C", WHITE: "#16181C", GRID: "#767C86",
}  # fmt: skip
OF_TRIALS = PALETTE[:-1]
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

    # This loads the backend: a notebook's makes figures interactive, which must outlast the style.
    plt.draw_if_interactive()  # type: ignore[no-untyped-call]
    with mpl.rc_context(), matplotlib.style.context(str(STYLE)):
        _, axes = plt.subplots(rows, columns, figsize=size, sharey=share_y, squeeze=False)
    return axes


def trial_colours(front: Iterable[int]) -> dict[int, str]:
    """The colour of each network of a front, which it has in every figure.

    Args:
        front: numbers of the trials in the order of the front.
    """
    return {number: OF_TRIALS[at % len(OF_TRIALS)] for at, number in enumerate(front)}


def trial_dashes(front: Iterable[int]) -> dict[int, str]:
    """The dash of each network of a front; networks with the same colour differ in it."""
    return {number: DASHES[at // len(OF_TRIALS) % len(DASHES)] for at, number in enumerate(front)}


def label_ends(ax: Axes, lines: Sequence[Line2D], size: float = 8) -> None:
    """Name lines at their right ends, in their colours, instead of in a legend.

    Names of lines that end close to each other are moved apart.
    """
    heights = ((float(np.asarray(line.get_ydata())[-1]), line) for line in lines)
    ends = sorted(heights, key=itemgetter(0))
    low, high = ax.get_ylim()
    points = 72 * ax.bbox.height / ax.figure.dpi
    places = spread([height for height, _ in ends], 1.25 * size / points * (high - low))
    for place, (_, line) in zip(places, ends, strict=True):
        right = float(np.asarray(line.get_xdata())[-1])
        ax.annotate(
            str(line.get_label()), (right, place), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=size, color=line.get_color(), annotation_clip=False,
        )  # fmt: skip


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Rising values, moved so that neighbours are at least ``gap`` apart; their mean stays."""
    given, steps = np.asarray(values, dtype=float), gap * np.arange(len(values))
    raised = np.maximum.accumulate(given - steps) + steps
    found: list[float] = (raised - (raised - given).mean()).tolist() if len(values) else []
    return found


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
    columns = 3 if column_width(ax) > 5 else 2
    return ax.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize=8, **given
    )


def method_label(name: str) -> str:
    """The name of a method for a legend: "grad cam" for "grad_cam"."""
    return escape.figure(name.replace("_", " "))
