from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figures import check_figure
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

import ir2search as ir

NAMES = ["stem", "stage1.0", "stage2.0"]


@pytest.fixture
def layers() -> pd.DataFrame:
    """A table of three layers; it has no columns of the network without recovery."""
    values = {
        "information": [2.0, 3.0, 2.5],
        "twin_information": [2.0, 3.1, 3.2],
        "loss": [np.nan, -1.0, 0.5],
        "twin_loss": [np.nan, -1.1, -0.1],
        "attention_support": [0.4, 0.5, 0.6],
        "sign_entropy": [np.nan, 0.9, 1.0],
        "quantisation_error": [np.nan, 0.2, 0.3],
        "flipped_signs": [np.nan, 0.1, 0.1],
        "plain_information": [np.nan] * 3,
    }
    table = pd.DataFrame({"layer": NAMES})
    for name, column in values.items():
        spread = np.array([0.2, 0.2, 0.6])
        table[name] = column
        table[f"{name}_low"], table[f"{name}_high"] = column - spread, column + spread
    return table


@pytest.fixture
def gaps() -> pd.DataFrame:
    """Completeness gaps of two methods."""
    return pd.DataFrame({"grad_cam": [0.9, 0.5, 0.1], "deeplift": [0, 1e-5, 1e-4]}, index=NAMES)


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [each.get_text() for each in legend.get_texts()]


def test_information_has_a_line_with_its_interval_for_each_known_network(
    layers: pd.DataFrame,
) -> None:
    ax = ir.plots.information(layers)
    assert labels(ax) == ["binary network", "full-precision twin"]
    assert [list(line.get_ydata()) for line in ax.lines] == [[2, 3, 2.5], [2, 3.1, 3.2]]
    assert len(ax.collections) == 2
    assert [each.get_text() for each in ax.get_xticklabels()] == NAMES


def test_a_loss_that_may_be_zero_is_hollow(layers: pd.DataFrame) -> None:
    ax = ir.plots.information_loss(layers)
    own = ax.patches[:3]
    assert [bar.get_height() for bar in own[1:]] == [-1.0, 0.5]
    assert [to_hex(bar.get_facecolor()) for bar in own[1:]] == ["#0072b2", "#ffffff"]
    assert labels(ax) == ["binary network", "full-precision twin"]


def test_signs_have_a_line_for_each_measure(layers: pd.DataFrame) -> None:
    ax = ir.plots.signs(layers)
    assert len(labels(ax)) == len(ax.lines) == 3
    assert {line.get_color() for line in ax.lines} == {"#0072B2"}, "all of the binary network"
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines}) == 3
    assert list(ax.lines[1].get_ydata()[1:]) == [0.2, 0.3]


def test_a_gap_of_zero_is_drawn_on_the_logarithmic_axis(gaps: pd.DataFrame) -> None:
    ax = ir.plots.completeness(gaps)
    assert labels(ax) == ["grad cam", "deeplift"]
    assert ax.get_yscale() == "log"
    assert list(ax.lines[1].get_ydata()) == [1e-7, 1e-5, 1e-4]


def test_all_panels_have_the_same_layers(layers: pd.DataFrame, gaps: pd.DataFrame) -> None:
    figure = ir.plots.information_panels(layers, gaps, "a title")
    check_figure(figure)
    assert figure.get_suptitle() == "a title"
    assert len(figure.axes) == 5
    assert all(ax.get_xlim() == figure.axes[0].get_xlim() for ax in figure.axes)
    assert [each.get_text() for each in figure.axes[4].get_xticklabels()] == NAMES
