"""The figures of an analysis, from a run or from a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ir2search.plots import attributions, channel_entropy, depth, pictures, precision
from ir2search.plots.precision import Direction
from ir2search.plots.sources import measures

if TYPE_CHECKING:
    from ir2search.runs import Run


def information(layers: pd.DataFrame | Run, trial: str = "best", *, ax: Axes | None = None) -> Axes:
    """Draw the usable information of each layer, in bits, and its ceiling.

    Args:
        layers: a run with a finished analysis, or a frame as `ir2search.plots.depth.information`
            takes it.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    if not isinstance(layers, pd.DataFrame):
        from ir2search.information import layers_table

        layers = layers_table(measures(layers, trial))
    return depth.information(layers, ax=ax)


def channels(entropies: pd.DataFrame | Run, trial: str = "best", *, ax: Axes | None = None) -> Axes:
    """Draw the entropy of every channel's sign: a row of dots for each layer.

    Args:
        entropies: a run with a finished analysis, or a frame as
            `ir2search.plots.channel_entropy.channels` takes it.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    if not isinstance(entropies, pd.DataFrame):
        from ir2search.information import channel_entropies

        entropies = channel_entropies(measures(entropies, trial))
    return channel_entropy.channels(entropies, ax=ax)


def flow(
    shares: pd.DataFrame | Run,
    trial: str = "best",
    method: str | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the flow of attribution through the layers, as bands.

    Args:
        shares: a run with a finished analysis, or a frame as `ir2search.plots.attributions.flow`
            takes it.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        method: the attribution method of a run's analysis; None for its first one.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    if not isinstance(shares, pd.DataFrame):
        from ir2search.information import attribution_flow

        table = measures(shares, trial)
        first = table.loc[table["measure"] == "bypass share", "method"].iloc[0]
        shares = attribution_flow(table, method or str(first))
    return attributions.flow(shares, ax=ax)


def attention(
    grid: pd.DataFrame | Run, trial: str = "best", *, axes: np.ndarray | None = None
) -> np.ndarray:
    """Draw a grid of pictures: a row for each image, a column for each layer.

    Args:
        grid: a run with a finished analysis, or a frame as `ir2search.plots.pictures.attention`
            takes it.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        axes: (images, columns) axes; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    if not isinstance(grid, pd.DataFrame):
        from ir2search.information import picture_grid

        grid = picture_grid(measures(grid, trial, pictures=True))
    return pictures.attention(grid, axes=axes)


def sensitivity(
    swept: pd.DataFrame | Run,
    direction: Direction = "binarised",
    trial: str = "best",
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw how accuracy changes if one layer, one stage or the network changes its precision.

    Args:
        swept: a run with a finished analysis, or a frame as `ir2search.plots.precision.sensitivity`
            takes it.
        direction: ``"binarised"`` for the full-precision twin, ``"released"`` for the binary
            network.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    if not isinstance(swept, pd.DataFrame):
        from ir2search.information import sensitivity_table

        swept = sensitivity_table(measures(swept, trial))
    return precision.sensitivity(swept, direction, ax=ax)
