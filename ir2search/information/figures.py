"""The figures of an analysis, each drawn from the table of measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ir2search import escape
from ir2search.measures.tables import (
    attribution_flow,
    channel_entropies,
    completeness_gaps,
    faithfulness_curves,
    layers_table,
    picture_grid,
    sensitivity_table,
)
from ir2search.measures.trust import trust
from ir2search.plots.attributions import FAITHFULNESS_SIZE, faithfulness, flow
from ir2search.plots.channel_entropy import channels, channels_size
from ir2search.plots.depth import information_panels
from ir2search.plots.pictures import attention, grid_shape, grid_size
from ir2search.plots.precision import sensitivity_panels
from ir2search.plots.saving import save
from ir2search.plots.style import depth_size, method_label


def write_figures(table: pd.DataFrame, title: str, folder: Path) -> None:
    """Write every figure as .png, .svg and .pdf.

    The table is that of `ir2search.information.measure`, with the pictures of the attention grid.
    """
    for name, draw in FIGURES.items():
        if name in OPTIONAL and sensitivity_table(table).empty:
            continue
        save(partial(draw, table, escape.figure(title)), folder / name)


def information_figure(table: pd.DataFrame, title: str) -> Figure:
    """Usable information, its loss, signs, attention and completeness over depth."""
    return information_panels(layers_table(table), completeness_gaps(table), title)


def channels_figure(table: pd.DataFrame, title: str) -> Figure:
    """The entropy of every channel's sign."""
    entropies = channel_entropies(table)
    figure = Figure(figsize=channels_size(entropies["layer"].nunique()))
    channels(entropies, ax=figure.subplots()).set_title(title)
    return figure


def flow_figure(table: pd.DataFrame, title: str) -> Figure:
    """The flow of attribution, by the most faithful method."""
    method = str(trust(table)["method"].iloc[0])
    shares = attribution_flow(table, method)
    figure = Figure(figsize=depth_size(len(shares), 3.6))
    flow(shares, ax=figure.subplots()).set_title(f"{title}\n{method_label(method)}")
    return figure


def faithfulness_figure(table: pd.DataFrame, title: str) -> Figure:
    """Deletion and insertion curves of every method."""
    figure = Figure(figsize=FAITHFULNESS_SIZE)
    faithfulness(faithfulness_curves(table), axes=figure.subplots(1, 2, sharey=True))
    figure.suptitle(title)
    return figure


def attention_figure(table: pd.DataFrame, title: str) -> Figure:
    """Images beside the attention of every layer."""
    pictures = picture_grid(table)
    rows, columns = grid_shape(pictures)
    figure = Figure(figsize=grid_size(rows, columns))
    attention(pictures, axes=figure.subplots(rows, columns, squeeze=False))
    figure.suptitle(title)
    return figure


def sensitivity_figure(table: pd.DataFrame, title: str) -> Figure:
    """Accuracy with one layer, one stage or the network in another precision; noise by layer."""
    return sensitivity_panels(sensitivity_table(table), layers_table(table), title)


FIGURES: dict[str, Callable[[pd.DataFrame, str], Figure]] = {
    "information": information_figure,
    "channels": channels_figure,
    "flow": flow_figure,
    "faithfulness": faithfulness_figure,
    "attention": attention_figure,
    "sensitivity": sensitivity_figure,
}
OPTIONAL = {"sensitivity"}  # drawn only if it was measured
