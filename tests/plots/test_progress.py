from __future__ import annotations

import numpy as np
import pandas as pd

import ir2search as ir

CURVES = pd.DataFrame(
    {
        "number": [0, 0, 1, 1, 2],
        "epoch": [1, 2, 1, 2, 1],
        "accuracy": [0.5, 0.7, 0.4, 0.8, 0.1],
    }
)


def test_hypervolume_rises_in_steps_after_each_trial() -> None:
    ax = ir.plots.hypervolume(pd.DataFrame({"number": [0, 1, 2], "hypervolume": [0, 0.5, 0.6]}))
    (line,) = ax.lines
    assert line.get_drawstyle() == "steps-post"
    assert list(line.get_ydata()) == [0, 0.5, 0.6]
    assert ax.get_ylim() == (0, 1)


def test_the_fronts_curves_are_in_colour_and_named() -> None:
    ax = ir.plots.curves(CURVES, [1, 0])
    colours = [line.get_color() for line in ax.lines]
    assert colours[0] == "#999999"
    assert not np.array_equal(colours[1], colours[2])
    assert list(ax.lines[1].get_ydata()) == [0.4, 0.8]
    legend = ax.get_legend()
    assert legend is not None
    assert [each.get_text() for each in legend.get_texts()] == ["trial 1", "trial 0"]


def test_a_large_front_has_no_legend() -> None:
    many = pd.concat([CURVES.assign(number=CURVES["number"] + 3 * n) for n in range(5)])
    assert ir.plots.curves(many, range(15)).get_legend() is None
