"""Figures of recipes, analyses and published pages show all of their data in the colours meant.

`ir2search.plots` has its own tests in ``tests/plots``.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figures import check_figure
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

REPOSITORY = Path(__file__).parents[1]
PICTURES = sorted(
    file
    for pattern in ("reports/**/*.html", "reports/**/*.svg", "docs/figures/*.svg")
    for file in REPOSITORY.glob(pattern)
)
COLOUR = re.compile(rb"""\b(?:fill|stroke|stop-color)\s*[:=]\s*"?(\#[^;"\s]+)""")
SEEDS = range(3)


def recipe(name: str) -> Callable[[pd.DataFrame], Figure]:
    """The function of a recipe that draws its table."""
    draw: Callable[[pd.DataFrame], Figure] = runpy.run_path(f"{REPOSITORY}/analysis/{name}.py")[
        "draw"
    ]
    return draw


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    assert found is not None
    return [each.get_text() for each in found.get_texts()]


def scattered(ax: Axes) -> list[list[list[float]]]:
    """The points of each scatter plot."""
    return [np.asarray(each.get_offsets()).tolist() for each in ax.collections]


def test_empty_axes_and_points_outside_are_found() -> None:
    empty, outside = Figure(), Figure()
    empty.subplots()
    with pytest.raises(AssertionError, match="empty axes"):
        check_figure(empty)
    outside.subplots().scatter([0, 1], [0, 1])
    outside.axes[0].set_xlim(0.5, 2)
    with pytest.raises(AssertionError, match="outside the axes"):
        check_figure(outside)


def test_information_ranking_has_a_panel_of_points_for_each_measure() -> None:
    table = pd.DataFrame(
        {
            "trial": [0, 1], "ops": [1000, 2000], "information, 0": [0.5, 0.7],
            "accuracy, 1": [0.2, 0.3], "sign entropy, 3": [0.9, 0.8],
            "information, all": [1.0, 2.0], "final accuracy": [0.6, 0.8],
        }
    )  # fmt: skip
    figure = recipe("information_ranking")(table)
    check_figure(figure)
    panels = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_xlabel() for ax in panels] == [
        "OPs\n", "information\nuntrained", "validation accuracy\nafter 1 epoch",
        "sign entropy\nafter 3 epochs", "information\nafter all epochs",
    ]  # fmt: skip
    for ax, column in zip(panels, table.columns[1:-1], strict=True):
        assert scattered(ax) == [list(map(list, zip(table[column], (0.6, 0.8), strict=True)))]


def test_ablation_has_dots_for_each_network_in_the_order_of_its_recovery() -> None:
    networks = [
        ("dense", 0, 0.0, 4e4),
        ("none", 0, 0.0, 0.0),
        ("none", 0, 0.7, 0.0),
        ("compact", 8, 0.0, 9e3),
    ]
    table = pd.DataFrame(
        [
            {
                "recovery": recovery, "channels": channels, "threshold": threshold,
                "recovery_flops": flops, "test": 0.6 + 0.01 * number + 0.002 * seed,
            }
            for number, (recovery, channels, threshold, flops) in enumerate(networks)
            for seed in (-1, 0, 1)
        ]
    )  # fmt: skip
    figure = recipe("ablation")(table)
    check_figure(figure)
    (ax,) = figure.axes
    assert legend(ax) == ["no restriction", "restriction, λ = 0.7"]
    assert [each.get_text() for each in ax.get_yticklabels()] == [
        "no recovery\n0.0 k FLOPs", "compact, 8 channels\n9.0 k FLOPs", "dense\n40.0 k FLOPs",
    ]  # fmt: skip
    means = [points[0] for points in scattered(ax) if len(points) == 1]
    np.testing.assert_allclose(means, [[0.61, -0.125], [0.62, 0.125], [0.63, 0.875], [0.6, 1.875]])
    assert [len(points) for points in scattered(ax)] == [3, 1] * 4 + [0, 0]


def test_attention_shift_has_a_line_for_each_layer_and_one_for_the_twins() -> None:
    table = pd.DataFrame(
        [
            {"threshold": threshold, "seed": seed, "layer": layer, "similarity": 0.1 * seed}
            for threshold in (np.nan, 0.0, 0.9)
            for seed in SEEDS
            for layer in ("stem", "last")
        ]
    )
    figure = recipe("attention_shift")(table)
    check_figure(figure)
    (ax,) = figure.axes
    assert legend(ax) == ["stem", "last", "two twins (last)"]
    for line in ax.lines[:2]:
        np.testing.assert_allclose(line.get_xydata(), [[0, 0.1], [0.9, 0.1]])
    assert [len(points) for points in scattered(ax)] == [6, 6]


def test_depth_of_loss_has_a_line_for_each_network_and_a_dot_for_each_seed() -> None:
    layers = {"recovery": ["stem", "recovery"], "no recovery": ["stem"], "twin": ["stem"]}
    table = pd.DataFrame(
        [
            {"network": name, "seed": seed, "layer": layer, "bits": 1.0 + seed, "loss": 0.0}
            for name, names in layers.items()
            for seed in SEEDS
            for layer in names
        ]
    )
    figure = recipe("depth_of_loss")(table)
    check_figure(figure)
    (ax,) = figure.axes
    assert legend(ax) == list(layers)
    assert np.asarray(ax.lines[0].get_xydata()).tolist() == [[0, 2], [1, 2]]
    assert [len(points) for points in scattered(ax)] == [6, 3, 3]


def test_release_value_has_a_dot_for_each_seed_and_one_for_the_mean_of_each_network() -> None:
    names = ("as it is", "suggested", "random 1", "random 2")
    table = pd.DataFrame(
        [
            {"network": name, "seed": seed, "accuracy": 80.0 + place + seed}
            for place, name in enumerate(names)
            for seed in SEEDS
        ]
    )
    figure = recipe("release_value")(table)
    check_figure(figure)
    (ax,) = figure.axes
    assert [each.get_text() for each in ax.get_xticklabels()] == list(names)
    assert [len(points) for points in scattered(ax)] == [3, 1] * 4
    assert scattered(ax)[3] == [[1, 82]], "the mean of the suggested network"


def test_tap_value_has_a_mark_for_each_choice_of_taps() -> None:
    table = pd.DataFrame(
        [
            {"taps": taps, "seed": seed, "flops": flops, "bits": 1.0 + seed}
            for taps, flops in (("none", 0), ("stem", 100), ("all", 300))
            for seed in SEEDS
        ]
    )
    figure = recipe("tap_value")(table)
    check_figure(figure)
    (ax,) = figure.axes
    assert [each.get_text() for each in ax.texts] == ["none", "stem", "all"]
    assert scattered(ax)[1::2] == [[[0, 2]], [[100, 2]], [[300, 2]]]


def test_operations_and_time_has_every_network_in_both_panels() -> None:
    table = pd.DataFrame(
        {
            "family": ["cifar-resnet", "cifar-vgg", "cifar-resnet"], "ops": [1e6, 2e6, 4e6],
            "ms": [1.0, 2.0, 3.0], "low_ms": [0.9, 1.9, 2.5], "high_ms": [1.1, 2.5, 4.0],
            "expected_ms": [1.2, 1.8, 3.2],
        }
    )  # fmt: skip
    figure = recipe("operations_and_time")(table)
    check_figure(figure)
    for ax, column in zip(figure.axes, ("ops", "expected_ms"), strict=True):
        points = sorted(
            tuple(point)
            for each in ax.containers
            for point in np.asarray(each[0].get_xydata()).tolist()
        )
        assert points == list(zip(table[column], table["ms"], strict=True))
    assert legend(figure.axes[0]) == ["cifar-resnet", "cifar-vgg"]


@pytest.mark.parametrize("name", ["information", "channels", "flow", "faithfulness", "attention"])
def test_every_figure_of_a_real_analysis_shows_its_data(name: str) -> None:
    from ir2search.information.figures import FIGURES

    table = pd.read_parquet(REPOSITORY / "reports/digits/information/information.parquet")
    figure = FIGURES[name](table, "digits")
    check_figure(figure)
    if name == "flow":
        (ax,) = figure.axes
        colours = [to_hex(band.get_facecolor()[0]) for band in ax.collections]
        assert colours == ["#0072b2", "#8a8a8a", "#d55e00"]


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: "-".join(file.parts[-2:]))
def test_the_colours_of_a_published_picture_are_colours(file: Path) -> None:
    found = set(COLOUR.findall(file.read_bytes()))
    wrong = {each for each in found if not re.fullmatch(rb"#([0-9a-fA-F]{3}){1,2}", each)}
    assert not wrong
