from __future__ import annotations

import itertools

import pandas as pd

import ir2search as ir
from ir2search.plots.style import BLUE, GREY, ORANGE

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
    assert colours == [GREY, BLUE, ORANGE]
    assert list(ax.lines[1].get_ydata()) == [0.4, 0.8]
    named = {each.get_text(): each.get_color() for each in ax.texts}
    assert named == {"trial 1": BLUE, "trial 0": ORANGE}
    assert ax.get_legend() is None, "the names are at the lines"


def test_names_of_lines_with_the_same_end_do_not_overlap() -> None:
    same = pd.concat([CURVES.assign(number=n) for n in range(4)]).query("epoch == 2")
    ax = ir.plots.curves(same, range(4))
    ax.figure.draw_without_rendering()
    boxes = sorted((each.get_window_extent() for each in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 4
    assert all(one.y1 <= other.y0 for one, other in itertools.pairwise(boxes))


def test_a_large_front_has_no_names() -> None:
    many = pd.concat([CURVES.assign(number=CURVES["number"] + 3 * n) for n in range(5)])
    assert not ir.plots.curves(many, range(15)).texts
