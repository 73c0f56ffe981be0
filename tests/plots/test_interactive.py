"""Interactive twins: the same points as the figures of matplotlib."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ir2search as ir
from ir2search.errors import MissingExtraError, RunError

pytest.importorskip("plotly")


def test_a_front_has_the_points_of_its_twin(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    figure = ir.plots.interactive.front(run)
    traces = {trace.name: trace for trace in figure.data}
    for points in ir.plots.front(run).collections:
        name = str(points.get_label())
        if name in traces:
            drawn = np.ma.getdata(points.get_offsets())
            shown = np.column_stack([traces[name].x, traces[name].y])
            assert sorted(map(tuple, shown)) == sorted(map(tuple, drawn)), name
    members = traces["front (validation)"]
    assert len(members.x) == len(run.front())
    assert any(f"trial {run.pick('best')}: depth 8" in text for text in members.text)
    assert {"test", "knee"} <= traces.keys()
    assert figure.layout.xaxis.type == "log"


def test_a_name_is_text_and_no_markup() -> None:
    rows = [("accuracy", "<a href='x'>w</a>", 0.7), ("accuracy", "depth", 0.3)]
    table = pd.DataFrame(rows, columns=["target", "parameter", "share"])
    (bars,) = ir.plots.interactive.importances(table).data
    assert list(bars.x) == [0.3, 0.7]
    assert all("<" not in name for name in bars.y)


def test_curves_and_hypervolumes_are_those_of_the_run(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    best = run.pick("best")
    lines = {line.name: line for line in ir.plots.interactive.curves(run).data}
    expected = [each.validation_accuracy for each in run.curve(best)]
    assert list(lines[f"trial {best}"].y) == expected
    (line,) = ir.plots.interactive.hypervolume(run).data
    (twin,) = ir.plots.hypervolume(run).lines
    assert list(line.y) == list(np.asarray(twin.get_ydata()))


def test_the_curve_of_a_folder_of_a_training(finished_run: Path) -> None:
    folder = finished_run / "trials" / "0"
    (line,) = ir.plots.interactive.curves(folder).data
    (twin,) = ir.plots.curves(str(folder)).lines
    assert list(line.y) == list(np.asarray(twin.get_ydata()))
    assert len(line.y) == len((folder / "curve.jsonl").read_text().splitlines())
    with pytest.raises(RunError, match=r"trials: has no curve.jsonl with epochs; give the folder"):
        ir.plots.curves(finished_run / "trials")


def test_fronts_of_runs_are_compared_by_name(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    one, two = ir.plots.interactive.compare({"one": run, "<b>": run.front()}).data
    assert (one.name, two.name) == ("one", "&lt;b&gt;")
    assert list(one.x) == list(two.x) == sorted(run.front()["ops"])
    assert one.marker.color != two.marker.color


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    frame = pd.DataFrame({"number": [0], "hypervolume": [0.5]})
    with pytest.raises(MissingExtraError, match=r"plotly is not installed; .*\[report\]"):
        ir.plots.interactive.hypervolume(frame)
