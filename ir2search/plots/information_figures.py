"""Figures of a network's information by layer, each drawn from the table of its measures alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ir2search.information.layers import layer_names, of, of_signs
from ir2search.information.measure import BINARY, PLAIN, TWIN, trust
from ir2search.information.rows import ATTENTION

LOOKS = {  # of a network's line: colour, dash and marker tell it from the others, also in grey
    BINARY: ("#0072B2", "-", "o", "binary network"),
    TWIN: ("#D55E00", "--", "s", "full-precision twin"),
    PLAIN: ("#009E73", ":", "^", "without recovery"),
}
IN_PLACE, MOVED, BYPASS = "#0072B2", "#9ecae1", "#E69F00"


def information_figure(table: pd.DataFrame, title: str) -> Figure:
    """Over depth: usable information and its loss, signs, attention, completeness."""
    layers = layer_names(table)
    figure = Figure(figsize=(max(6.4, 0.5 * len(layers) + 2), 11.5))
    usable, loss, signs, attention, gap = figure.subplots(5, 1, sharex=True)
    usable.set_title(title)
    _lines(usable, table, layers, "usable information")
    usable.set_ylabel("usable\ninformation (bits)")
    usable.legend(loc="upper center", bbox_to_anchor=(0.5, 1.42), ncols=3)
    _bars(loss, table, layers)
    _signs(signs, table, layers)
    _lines(attention, table, layers, "effective support", ATTENTION)
    attention.set_ylabel("support of\nattention (share)")
    _gaps(gap, table, layers)
    gap.set_xticks(range(len(layers)), layers, rotation=45, ha="right")
    return figure


def channels_figure(table: pd.DataFrame, title: str) -> Figure:
    """Entropy of every channel's sign, a row for each binary layer, the fullest channels first."""
    found = table[table["measure"] == "channel entropy"]
    by_layer = {
        str(name): rows["value"].to_numpy() for name, rows in found.groupby("layer", sort=False)
    }
    width = max((len(values) for values in by_layer.values()), default=1)
    grid = np.full((max(1, len(by_layer)), width), np.nan)
    for line, values in enumerate(by_layer.values()):
        grid[line, : len(values)] = np.sort(values)[::-1]
    figure = Figure(figsize=(7.2, max(2.2, 0.28 * len(grid) + 1.2)))
    axis = figure.subplots()
    image = axis.imshow(grid, aspect="auto", vmin=0, vmax=1, cmap="cividis", interpolation="none")
    axis.set_yticks(range(len(by_layer)), [name.removesuffix(".conv") for name in by_layer])
    axis.set_xlabel("channels of the layer's input, by entropy")
    axis.set_title(title)
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, label="entropy of the sign (bits)")
    return figure


def flow_figure(table: pd.DataFrame, title: str) -> Figure:
    """Where the attribution that reaches a layer lies, as bands: in place, moved, past it."""
    method = str(trust(table)["method"].iloc[0])
    bypass = of(table, BINARY, "bypass share", method)["value"]
    layers, past = list(bypass.index), bypass.to_numpy()
    kept = of(table, BINARY, "kept share", method)["value"].reindex(layers).to_numpy()
    in_place = (1 - past) * np.nan_to_num(kept, nan=1.0)  # the first has nothing before it
    figure = Figure(figsize=(max(6.4, 0.5 * len(layers) + 2), 3.6))
    axis = figure.subplots()
    bands = axis.stackplot(
        range(len(layers)),
        [in_place, 1 - past - in_place, past],
        labels=["where it was before", "elsewhere in the layer", "past it, through taps"],
        colors=[IN_PLACE, MOVED, BYPASS],
    )
    for band, hatch in zip(bands, ("", "..", "//"), strict=True):
        band.set_hatch(hatch)
        band.set_edgecolor("white")
    axis.set_xticks(range(len(layers)), layers, rotation=45, ha="right")
    axis.set(ylim=(0, 1), xlim=(0, max(1, len(layers) - 1)), ylabel="attribution")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_title(f"{title}\n{_words(method)}")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), ncols=3)
    return figure


def faithfulness_figure(table: pd.DataFrame, title: str) -> Figure:
    """Deletion and insertion curves of every method, beside a random order of pixels."""
    figure = Figure(figsize=(7.6, 3.6))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, name in zip(axes, ("deletion", "insertion"), strict=True):
        curves = table[table["measure"] == f"{name} curve"]
        for number, (method, rows) in enumerate(curves.groupby("method", sort=False)):
            share = np.linspace(0, 1, len(rows))
            by_chance = method == "random order"
            axis.plot(
                share,
                rows["value"],
                color="black" if by_chance else f"C{number - 1}",
                linestyle=":" if by_chance else ("-", "--", "-.")[number % 3],
                label=_words(str(method)),
            )
        axis.set(xlabel=f"pixels {'blanked' if name == 'deletion' else 'put back'}", title=name)
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    figure.axes[0].set_ylabel("probability of the label")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle(title)
    return figure


def attention_figure(table: pd.DataFrame, title: str) -> Figure:
    """A grid of pictures: attention in a colour scale, images as they are; a row for an image."""
    drawn = table[table["measure"].str.startswith("picture of ")]
    images = [rows for _, rows in drawn.groupby("item")]
    columns = list(images[0]["layer"])
    figure = Figure(figsize=(1.25 * len(columns) + 0.6, 1.3 * len(images) + 1.1))
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for line, rows in enumerate(images):
        pictures = zip(rows["array"], rows["shape"], strict=True)
        for place, (values, shape) in enumerate(pictures):
            axis = axes[line, place]
            picture = np.asarray(values).reshape([int(side) for side in shape])
            axis.imshow(picture, cmap="cividis" if picture.ndim == 2 else None)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(visible=False)
            for spine in axis.spines.values():
                spine.set_visible(False)
            if line == 0:
                above = columns[place].replace(", ", ",\n").replace(" of ", "\nof ")
                axis.set_title(above, fontsize=9)
        name = rows["measure"].iloc[0].removeprefix("picture of ")
        axes[line, 0].set_ylabel(name, fontsize=9)
    figure.suptitle(title)
    figure.supxlabel(
        "orange: blanked; dark to bright: attention, each map on a scale of its own", fontsize=9
    )
    return figure


FIGURES: dict[str, Callable[[pd.DataFrame, str], Figure]] = {
    "information": information_figure,
    "channels": channels_figure,
    "flow": flow_figure,
    "faithfulness": faithfulness_figure,
    "attention": attention_figure,
}


def _lines(
    axis: Axes, table: pd.DataFrame, layers: list[str], measure: str, method: str | None = None
) -> None:
    """A measure of every network over depth, with its interval."""
    x = np.arange(len(layers))
    for network, (colour, dash, marker, label) in LOOKS.items():
        found = of(table, network, measure, method).reindex(layers)
        if found["value"].isna().all():
            continue
        axis.plot(x, found["value"], dash, marker=marker, ms=4, color=colour, label=label)
        axis.fill_between(x, found["low"], found["high"], color=colour, alpha=0.18, lw=0)


def _bars(axis: Axes, table: pd.DataFrame, layers: list[str]) -> None:
    """The loss of every layer; hollow where its interval has zero in it."""
    shown = [name for name in LOOKS if not of(table, name, "information loss").empty]
    width = 0.8 / max(1, len(shown))
    for number, network in enumerate(shown):
        found = of(table, network, "information loss").reindex(layers)
        sure = (found["low"] > 0) | (found["high"] < 0)
        x = np.arange(len(layers)) + (number - (len(shown) - 1) / 2) * width
        colour = LOOKS[network][0]
        axis.bar(
            x,
            found["value"],
            width,
            color=np.where(sure, colour, "white"),
            edgecolor=colour,
            linewidth=0.8,
        )
        spread = [found["value"] - found["low"], found["high"] - found["value"]]
        axis.errorbar(x, found["value"], spread, fmt="none", ecolor="black", elinewidth=0.7)
    axis.axhline(0, color="black", lw=0.8)
    axis.set_ylabel("lost in the layer\n(bits; hollow: none)")


def _signs(axis: Axes, table: pd.DataFrame, layers: list[str]) -> None:
    """Entropy and quantisation error of the signs that a layer takes."""
    for measure, marker, dash, label in (
        ("sign entropy", "o", "-", "entropy of signs (bits)"),
        ("quantisation error", "s", "--", "quantisation error (share)"),
        ("flipped signs", "^", ":", "signs that noise flips (share)"),
    ):
        found = of_signs(table, measure).reindex(layers)
        axis.plot(range(len(layers)), found["value"], dash, marker=marker, ms=4, label=label)
    axis.set(ylabel="signs", ylim=(0, 1.05))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.28), ncols=3, fontsize=8)


def _gaps(axis: Axes, table: pd.DataFrame, layers: list[str]) -> None:
    """The completeness gap of every method in the binary network."""
    gaps = table[(table["network"] == BINARY) & (table["measure"] == "completeness gap")]
    for number, (method, rows) in enumerate(gaps.groupby("method", sort=False)):
        values = rows.set_index("layer")["value"].reindex(layers).clip(lower=1e-7)
        axis.plot(
            range(len(layers)),
            values,
            ("-", "--", "-.", ":")[number % 4],
            marker="os^vDx*"[number % 7],
            ms=4,
            label=_words(str(method)),
        )
    axis.set_yscale("log")
    axis.set_ylabel("completeness\ngap")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.35), ncols=3, fontsize=8)


def _words(method: str) -> str:
    return method.replace("_", " ")
