from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figures import check_figure
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.figure import Figure

import ir2search as ir
from ir2search.plots.pareto import front_panels
from ir2search.plots.style import ON_DARK, WHITE

TRIALS = pd.DataFrame(
    {
        "number": [0, 1, 2, 3, 4],
        "state": ["trained", "trained", "trained", "trained", "failed"],
        "ops": [2000.0, 1000.0, 4000.0, 3000.0, 500.0],
        "memory_bytes": [90.0, 80.0, 60.0, 70.0, 10.0],
        "accuracy": [0.8, 0.6, 0.9, 0.7, np.nan],
        "test_accuracy": [0.79, 0.61, np.nan, np.nan, np.nan],
    }
)
FRONT = TRIALS.iloc[[2, 0, 1]].assign(is_knee=[False, True, False])


def points(ax: Axes, label: str) -> list[list[float]]:
    (found,) = [each for each in ax.collections if each.get_label() == label]
    return np.asarray(found.get_offsets()).tolist()


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [each.get_text() for each in legend.get_texts()]


def test_a_front_shows_its_members_their_test_accuracy_and_the_knee() -> None:
    ax = ir.plots.front(FRONT, TRIALS)
    assert points(ax, "front (validation)") == [[1000, 0.6], [2000, 0.8], [4000, 0.9]]
    assert points(ax, "test") == [[1000, 0.61], [2000, 0.79]]
    assert points(ax, "dominated") == [[3000, 0.7]], "the failed trial is left out"
    assert points(ax, "knee") == [[2000, 0.8]]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("OPs", "accuracy", "log")
    assert [each.get_text() for each in ax.texts] == ["1", "0", "2"]
    ax.figure.draw_without_rendering()
    assert all(each.get_window_extent().y1 < ax.bbox.y1 for each in ax.texts), "below the border"
    (steps,) = ax.lines
    assert list(steps.get_xdata()) == [1000, 2000, 4000]


def test_numbers_of_members_that_are_close_do_not_overlap() -> None:
    close = FRONT.assign(ops=[1000.0, 1010.0, 1020.0], accuracy=[0.9, 0.899, 0.898])
    ax = ir.plots.front(close.assign(number=[11, 12, 13]), TRIALS)
    ax.figure.draw_without_rendering()
    boxes = [each.get_window_extent() for each in ax.texts]
    assert len(boxes) == 3
    pairs = itertools.combinations(boxes, 2)
    assert not any(one.overlaps(other) for one, other in pairs)


def test_a_trial_has_the_same_colour_in_the_front_and_in_the_curves() -> None:
    ax = ir.plots.front(FRONT, TRIALS)
    of_front = {each.get_text(): to_hex(each.get_color()) for each in ax.texts}
    rows = [(number, epoch, 0.5) for number in TRIALS["number"] for epoch in (1, 2)]
    curves = pd.DataFrame(rows, columns=["number", "epoch", "accuracy"])
    lines = ir.plots.curves(curves, FRONT["number"].tolist()).lines
    of_curves = {str(line.get_label()): to_hex(line.get_color()) for line in lines}
    assert len(set(of_front.values())) == 3
    assert all(of_curves[f"trial {number}"] == colour for number, colour in of_front.items())


def test_every_colour_has_contrast_on_its_page() -> None:
    def light(colour: str) -> float:
        linear = [
            value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
            for value in to_rgb(colour)
        ]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    assert all(contrast(each, WHITE) > 3 for each in ON_DARK if each != WHITE)
    assert all(
        contrast(dark, ON_DARK[WHITE]) > 3 for each, dark in ON_DARK.items() if each != WHITE
    )


def test_a_run_brings_its_trials_and_its_knee(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    ax = ir.plots.front(run)
    front, trials = run.front(), run.trials()
    assert len(points(ax, "front (validation)")) == len(front)
    assert len(points(ax, "dominated")) == (trials["state"] == "trained").sum() - len(front)
    (knee,) = points(ax, "knee")
    assert knee[0] == trials.set_index("number").loc[run.pick("knee"), "ops"]
    assert len(points(ir.plots.front(ir.front(finished_run)), "test")) == len(front)


def test_kinds_of_accuracies_have_their_own_names() -> None:
    kinds = ["fine-tuned", "inherited", "fine-tuned", "inherited", None]
    trials = TRIALS.assign(how=kinds)
    ax = ir.plots.front(trials.iloc[[2, 0]], trials)
    assert len(points(ax, "front (validation, fine-tuned)")) == 2
    assert len(points(ax, "not on the front (inherited)")) == 2


def test_a_front_alone_has_no_dominated_trials() -> None:
    ax = ir.plots.front(FRONT.drop(columns="is_knee"))
    assert labels(ax) == ["front (validation)", "test"]


def test_a_front_that_neither_rises_nor_falls_has_no_steps() -> None:
    ax = ir.plots.front(FRONT, TRIALS, x="memory")
    assert ax.get_xlabel() == "memory (bytes)"
    assert not ax.lines


def test_a_front_is_drawn_on_given_axes_in_the_callers_style() -> None:
    given = Figure().subplots()
    assert ir.plots.front(FRONT, ax=given) is given


def test_a_cost_of_zero_has_a_linear_axis() -> None:
    assert ir.plots.front(FRONT.assign(ops=[0.0, 1.0, 2.0])).get_xscale() == "linear"


@pytest.mark.parametrize(("width", "columns", "numbered"), [(7.0, 2, True), (3.4, 1, False)])
def test_each_cost_has_a_panel(width: float, columns: int, numbered: bool) -> None:
    figure = front_panels(FRONT, TRIALS, ["ops", "accuracy", "memory"], width)
    check_figure(figure)
    assert [ax.get_xlabel() for ax in figure.axes] == ["OPs", "memory (bytes)"]
    assert len({ax.get_position().x0 for ax in figure.axes}) == columns
    assert bool(figure.axes[0].texts) == numbered, "a narrow panel has no room for numbers"


def test_two_fronts_differ_in_colour_and_marker() -> None:
    ax = ir.plots.fronts({"one": FRONT, "other": TRIALS.iloc[[3]]})
    assert labels(ax) == ["one", "other"]
    assert points(ax, "other") == [[3000, 0.7]]
    one, other = ax.collections
    assert to_rgba("#0072B2") in np.asarray(one.get_facecolor()).round(9)
    assert not np.array_equal(one.get_facecolor(), other.get_facecolor())
    assert len(one.get_paths()[0]) != len(other.get_paths()[0])
    assert ax.get_ylabel() == "validation accuracy"
