"""Measures of information over the depth of a network.

Tables have a row for each layer, in order of depth, as `ir2search.measures.layers_table` returns
them. A measure has a column for its value, and two columns with the endings ``_low`` and ``_high``
for its 95% interval over images. The prefix ``twin_`` stands for the full-precision twin, and
``plain_`` for the network without recovery.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ir2search.measures.tables import layers_table
from ir2search.plots.sources import AnalysisData, of_analysis
from ir2search.plots.style import (
    BLACK,
    BLUE,
    DASHES,
    GREEN,
    MARKERS,
    ORANGE,
    PALETTE,
    axes_or_new,
    depth_size,
    label_layers,
    legend_above,
    method_label,
)

LOOKS = {  # colour, dash, marker and label of each network; lines also differ in grey
    "": (BLUE, "-", "o", "binary network"),
    "twin_": (ORANGE, "--", "s", "full-precision twin"),
    "plain_": (GREEN, ":", "^", "without recovery"),
}
SIGNS = {
    "sign_entropy": "entropy of signs (bits)",
    "quantisation_error": "quantisation error (share)",
    "flipped_signs": "signs that noise flips (share)",
}
SMALLEST_GAP = 1e-7  # drawn instead of zero, which a logarithmic axis does not have


def information(layers: AnalysisData, trial: str = "best", *, ax: Axes | None = None) -> Axes:
    """Draw the usable information of each layer, in bits, and its ceiling.

    Intervals are drawn only if no differences to the twin are known: these have narrower ones, see
    `beyond_twin`.

    Args:
        layers: an analysis, a run with one, or a row for each layer: ``layer``, ``information``,
            and if known ``twin_information`` and ``plain_information``, each with its interval;
            ``information_ceiling_bits``, if known.
        trial: ``"best"``, ``"knee"`` or the number of a trial of the run.
        ax: axes to draw on; a new figure if None.

    Raises:
        RunError: the trial was not analysed.
    """
    layers = of_analysis(layers, trial, layers_table)
    ax = axes_or_new(ax, depth_size(len(layers), 3.4))
    _draw_lines(ax, layers, "information", bands=not has_differences(layers))
    ceiling = layers.get("information_ceiling_bits", pd.Series(dtype=float)).dropna()
    if len(ceiling):
        label = "ceiling (log2 of the classes)"
        ax.axhline(ceiling.iloc[0], color=BLACK, ls=":", lw=0.8, label=label)
    ax.set_ylabel("usable\ninformation (bits)")
    legend_above(ax)
    return ax


def beyond_twin(layers: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the usable information of each layer less the twin's, in bits.

    The intervals are of the difference on the same images, so they are narrower than those of the
    two values.

    Args:
        layers: a row for each layer: ``layer``, ``beyond_twin_bits``, and if known
            ``plain_beyond_twin_bits``, each with its interval.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, depth_size(len(layers), 3.4))
    _draw_lines(ax, layers, "beyond_twin_bits")
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set_ylabel("difference to\nthe twin (bits)")
    legend_above(ax)
    return ax


def has_differences(layers: pd.DataFrame) -> bool:
    """Whether differences to the twin are known."""
    return "beyond_twin_bits" in layers and bool(layers["beyond_twin_bits"].notna().any())


def information_loss(layers: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the usable information that each layer loses, in bits.

    A bar is hollow if its interval includes zero: then there may be no loss.

    Args:
        layers: a row for each layer: ``layer``, ``loss``, and if known ``twin_loss`` and
            ``plain_loss``, each with its interval.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, depth_size(len(layers), 3.4))
    shown = _networks(layers, "loss")
    width = 0.8 / max(1, len(shown))
    for number, network in enumerate(shown):
        places = np.arange(len(layers)) + (number - (len(shown) - 1) / 2) * width
        _draw_bars(ax, layers, network, places, width)
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set_ylabel("lost (gained below 0)\nin the layer (bits;\nhollow: may be zero)")
    label_layers(ax, layers["layer"])
    legend_above(ax, [Patch(color=LOOKS[name][0], label=LOOKS[name][3]) for name in shown])
    return ax


def signs(layers: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the measures of each layer's input signs, all in the colour of the binary network.

    Args:
        layers: a row for each layer: ``layer``, and if known ``sign_entropy`` in bits,
            ``quantisation_error`` and ``flipped_signs`` as shares.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, depth_size(len(layers), 3.4))
    for (column, label), (_, dash, marker, _) in zip(SIGNS.items(), LOOKS.values(), strict=True):
        if column in layers:
            ax.plot(
                range(len(layers)), layers[column], dash, marker=marker, ms=4, color=BLUE,
                label=label,
            )  # fmt: skip
    ax.set(ylabel="signs", ylim=(0, 1.05))
    label_layers(ax, layers["layer"])
    legend_above(ax)
    return ax


def attention_support(layers: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of positions that hold 90% of each layer's attention.

    Args:
        layers: a row for each layer: ``layer``, ``attention_support``, and if known
            ``twin_attention_support``, each with its interval.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, depth_size(len(layers), 3.4))
    _draw_lines(ax, layers, "attention_support")
    ax.set_ylabel("support of\nattention (share)")
    legend_above(ax)
    return ax


def completeness(gaps: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the completeness gap: the difference of summed attributions to the logit's change.

    Args:
        gaps: a row for each layer, with the layer as index, and a column for each attribution
            method: the gap as a share of the change.
        ax: axes to draw on; a new figure if None.
    """
    ax = axes_or_new(ax, depth_size(len(gaps), 3.4))
    for number, (method, values) in enumerate(gaps.items()):
        ax.plot(
            range(len(gaps)),
            values.clip(lower=SMALLEST_GAP),
            DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)],
            ms=4,
            color=PALETTE[number % len(PALETTE)],
            label=method_label(str(method)),
        )
    ax.set_yscale("log")
    ax.set_ylabel("completeness\ngap")
    label_layers(ax, gaps.index)
    legend_above(ax)
    return ax


def information_panels(layers: pd.DataFrame, gaps: pd.DataFrame, title: str) -> Figure:
    """Draw all measures over depth, one panel below the other.

    Args:
        layers: as in `information`, `beyond_twin`, `information_loss`, `signs` and
            `attention_support`.
        gaps: as in `completeness`, for the same layers.
        title: title of the figure.
    """
    compared = has_differences(layers)
    figure = Figure(figsize=depth_size(len(layers), 13.8 if compared else 11.5))
    usable, *more = figure.subplots(6 if compared else 5, 1, sharex=True)
    *difference, lost, taken, support, gap = more
    information(layers, ax=usable)
    for ax in difference:
        beyond_twin(layers, ax=ax)
    information_loss(layers, ax=lost)
    signs(layers, ax=taken)
    attention_support(layers, ax=support)
    completeness(gaps, ax=gap)
    for ax in (*difference, lost, support):
        ax.get_legend().remove()
    figure.suptitle(title)
    return figure


def _networks(layers: pd.DataFrame, measure: str) -> list[str]:
    """Prefixes of the networks for which a measure is known."""
    columns = {prefix: f"{prefix}{measure}" for prefix in LOOKS}
    return [
        prefix
        for prefix, column in columns.items()
        if column in layers and layers[column].notna().any()
    ]


def _draw_lines(ax: Axes, layers: pd.DataFrame, measure: str, *, bands: bool = True) -> None:
    """A line for each network, with its interval if ``bands``."""
    places = np.arange(len(layers))
    for network in _networks(layers, measure):
        colour, dash, marker, label = LOOKS[network]
        value, low, high = (layers[f"{network}{measure}{end}"] for end in ("", "_low", "_high"))
        ax.plot(places, value, dash, marker=marker, ms=4, color=colour, label=label)
        if bands:
            ax.fill_between(places, low, high, color=colour, alpha=0.18, lw=0)
    label_layers(ax, layers["layer"])


def _draw_bars(
    ax: Axes, layers: pd.DataFrame, network: str, places: np.ndarray, width: float
) -> None:
    """One network's losses with their intervals."""
    value, low, high = (layers[f"{network}loss{end}"] for end in ("", "_low", "_high"))
    colour = LOOKS[network][0]
    is_shown = (low > 0) | (high < 0)
    ax.bar(
        places,
        value,
        width,
        color=np.where(is_shown, colour, "white"),
        edgecolor=colour,
        linewidth=0.8,
    )
    ax.errorbar(
        places, value, [value - low, high - value], fmt="none", ecolor=BLACK, elinewidth=0.7
    )
