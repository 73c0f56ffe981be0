"""Interactive twins of figures: a run or a data frame in, a plotly figure out.

>>> import ir2search as ir
>>> ir.plots.interactive.front(ir.Run.open("runs/digits"))  # doctest: +SKIP

They draw what the functions of the same name in `ir2search.plots` draw, from the same tables.
Points show their network when the mouse is over them. The page of a report has these figures too.
Its script draws them, because there they change: the reader chooses axes and trials, and the page
its colours and its width, where no Python runs.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ir2search import text
from ir2search.extras import require
from ir2search.plots import sources
from ir2search.plots.pareto import (
    accuracy_first,
    front_and_trials,
    kind_of_accuracies,
    name_of_others,
    named_fronts,
    off_the_front,
)
from ir2search.plots.style import BLACK, BLUE, GREY, ORANGE, PALETTE, trial_colours
from ir2search.study.objectives import OBJECTIVES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from ir2search.runs import Run

SHARE = ".1%"
COUNT = ".3s"  # 241,000 as 241k


def front(
    data: pd.DataFrame | Run,
    trials: pd.DataFrame | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
) -> Figure:
    """Draw a front: its members, their test accuracies, and the dominated trials.

    Args:
        data: a run, or a front as `ir2search.front` returns it.
        trials: all trials as `ir2search.trials` returns them; None for no dominated trials, ignored
            for a run.
        x: name of the objective on the horizontal axis; None for the first cost.
        y: name of the objective on the vertical axis; None for the accuracy.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    if isinstance(data, pd.DataFrame):
        front, names = data, ["accuracy", "ops"]
    else:
        (front, trials), names = front_and_trials(data), accuracy_first(data.study.objectives)
    x, y = x or names[1], y or names[0]
    across, up = OBJECTIVES[x].column, OBJECTIVES[y].column
    figure = _figure(OBJECTIVES[x].label, OBJECTIVES[y].label, y == "accuracy")
    if trials is not None:
        others = off_the_front(front, trials)
        figure.add_trace(_points(others, across, up, name_of_others(others), color=GREY, size=6))
    members, colours = front.sort_values(across), trial_colours(front["number"])
    marks: dict[str, Any] = {"color": [colours[each] for each in members["number"]], "size": 10}
    figure.add_trace(
        _points(members, across, up, f"front ({kind_of_accuracies(members)})", **marks)
    )
    if y == "accuracy":
        if "accuracy_low" in members:
            figure.data[-1].error_y = _intervals(members)
        tested = members.dropna(subset="test_accuracy")
        crosses = {"color": BLACK, "symbol": "x-thin-open", "size": 9}
        figure.add_trace(_points(tested, across, "test_accuracy", "test", **crosses))
        figure.update_yaxes(title_text="accuracy")
    if "is_knee" in members:
        ring = {"color": ORANGE, "symbol": "circle-open", "size": 18}
        figure.add_trace(_points(members[members["is_knee"]], across, up, "knee", **ring))
    is_positive = len(members) > 0 and bool((members[across] > 0).all())
    figure.update_xaxes(type="log" if is_positive else "linear", tickformat=COUNT)
    return figure


def compare(
    runs: Sequence[Run] | Mapping[str, Run | pd.DataFrame],
    *,
    x: str = "ops",
    y: str = "accuracy",
) -> Figure:
    """Draw the fronts of runs over each other.

    Args:
        runs: runs, or runs or fronts by name. Runs without names have the name of their folder.
        x: name of the objective on the horizontal axis.
        y: name of the objective on the vertical axis.

    Raises:
        MissingExtraError: plotly is not installed.
        ValueError: two runs have the same name.
    """
    across, up = OBJECTIVES[x].column, OBJECTIVES[y].column
    figure = _figure(OBJECTIVES[x].label, OBJECTIVES[y].label, y == "accuracy")
    is_positive = True
    for (name, front), colour in zip(named_fronts(runs).items(), cycle(PALETTE), strict=False):
        members = front.sort_values(across)
        is_positive &= bool((members[across] > 0).all())
        trace = _points(members, across, up, name, color=colour, size=9)
        line = {"shape": "hv", "color": colour, "width": 1}
        figure.add_trace(trace | {"mode": "lines+markers", "line": line})
    figure.update_xaxes(type="log" if is_positive else "linear", tickformat=COUNT)
    return figure


def hypervolume(trials: pd.DataFrame | Run) -> Figure:
    """Draw the hypervolume of the front after each trial.

    Args:
        trials: a run, or a frame with ``number`` and ``hypervolume``, from 0 to 1.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    if not isinstance(trials, pd.DataFrame):
        trials = sources.hypervolume_frame(trials)
    figure = _figure("trial", "hypervolume (share of the box)", False)
    line = {"shape": "hv", "color": BLUE}
    figure.add_scatter(x=trials["number"], y=trials["hypervolume"], mode="lines", line=line)
    figure.update_yaxes(range=(0, 1))
    return figure


def curves(curves: pd.DataFrame | Run | str | Path, members: Sequence[int] | None = None) -> Figure:
    """Draw learning curves, some of them in colour.

    Args:
        curves: a run, or a row for each epoch of each trial: ``number`` of the trial, ``epoch``,
            and ``accuracy`` on validation images, from 0 to 1; or a folder of
            `ir2search.train_network`, whose one curve is drawn.
        members: numbers of the trials in colour; None for the front of a run, and for none of a
            frame.

    Raises:
        MissingExtraError: plotly is not installed.
        RunError: the folder has no training.
    """
    is_single = isinstance(curves, str | Path)
    curves, members = sources.curve_frame(curves, members)
    figure = _figure("epoch", "validation accuracy", True)
    colours: dict[Any, str] = dict(trial_colours(members))
    for number, curve in sorted(curves.groupby("number"), key=lambda pair: pair[0] in colours):
        is_member = number in colours
        colour = colours.get(number, GREY)
        figure.add_scatter(
            x=curve["epoch"], y=curve["accuracy"], mode="lines", name=f"trial {number}",
            line={"color": colour, "width": 2 if is_member else 1},
            opacity=1 if is_member else 0.45, showlegend=is_member and not is_single,
        )  # fmt: skip
    return figure


def importances(data: pd.DataFrame | Run, target: str = "accuracy") -> Figure:
    """Draw how much each searched parameter matters, the most important one at the top.

    Args:
        data: a run with at least 20 trained trials, or a frame with ``target``, ``parameter`` and
            ``share``, from 0 to 1.
        target: ``"accuracy"`` or ``"ops"``.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    table = data if isinstance(data, pd.DataFrame) else sources.importance_frame(data)
    found = table[table["target"] == target].sort_values("share")
    figure = _figure(f"importance for {target}", "", False)
    names = [html.escape(name) for name in found["parameter"]]
    figure.add_bar(x=found["share"], y=names, orientation="h", marker={"color": BLUE})
    figure.update_xaxes(range=(0, 1), tickformat=".0%")
    return figure


def _figure(x: str, y: str, is_share: bool) -> Figure:
    """An empty figure with titles of both axes; ``is_share`` if the vertical one has shares."""
    figure = require("plotly.graph_objects", extra="report").Figure()
    figure.update_layout(template="plotly_white", xaxis_title=x, yaxis_title=y)
    if is_share:
        figure.update_yaxes(tickformat=".0%")
    return figure


def _points(rows: pd.DataFrame, across: str, up: str, name: str, **marker: Any) -> dict[str, Any]:
    """A trace of points that say which network they are."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(name),
        "x": rows[across].tolist(),
        "y": rows[up].tolist(),
        "text": [_described(row) for row in rows.to_dict("records")],
        "hovertemplate": f"%{{text}}<br>%{{y:{SHARE if 'accuracy' in up else COUNT}}} at "
        f"%{{x:{COUNT}}}<extra></extra>",
        "marker": marker,
    }


def _described(row: dict[Any, Any]) -> str:
    """The number of a trial and its network, without markup."""
    known = {"depth", "width", "threshold", "fusion", "fusion_channels", "taps"} <= row.keys()
    network = f": {text.network(row)}" if known else ""
    return html.escape(f"trial {row['number']}{network}")


def _intervals(members: pd.DataFrame) -> dict[str, Any]:
    """Error bars of the 95% intervals of accuracies."""
    return {
        "type": "data",
        "array": (members["accuracy_high"] - members["accuracy"]).tolist(),
        "arrayminus": (members["accuracy"] - members["accuracy_low"]).tolist(),
        "thickness": 1,
    }
