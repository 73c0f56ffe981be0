"""Figures of a run, against the tables of the same run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ir2search as ir
from ir2search.errors import RunError
from ir2search.measures import layers_table


def test_a_run_brings_its_hypervolumes_and_its_curves(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    (line,) = ir.plots.hypervolume(run).lines
    heights = np.asarray(line.get_ydata(), dtype=float)
    assert len(heights) == len(run.trials())
    assert (np.diff(heights) >= 0).all()
    assert 0 < heights[-1] < 1
    ax = ir.plots.curves(run)
    best = run.pick("best")
    (curve,) = [each for each in ax.lines if each.get_label() == f"trial {best}"]
    expected = [each.validation_accuracy for each in run.curve(best)]
    assert np.asarray(curve.get_ydata()).tolist() == expected


def test_importances_are_bars_with_the_largest_at_the_top(finished_run: Path) -> None:
    rows = [("accuracy", "width", 0.2), ("accuracy", "depth", 0.8), ("ops", "width", 1.0)]
    table = pd.DataFrame(rows, columns=["target", "parameter", "share"])
    ax = ir.plots.importances(table)
    assert [each.get_text() for each in ax.get_yticklabels()] == ["width", "depth"]
    assert [bar.get_width() for bar in ax.patches] == [0.2, 0.8]  # type: ignore[attr-defined]
    few = ir.plots.importances(ir.Run.open(finished_run))
    assert "too few trained trials" in few.texts[0].get_text(), "five trials say nothing"


def test_runs_are_compared_by_name(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    ax = ir.plots.compare({"one": run, "two": run.front(), "three": run})
    assert [each.get_label() for each in ax.collections] == ["one", "two", "three"]
    with pytest.raises(ValueError, match="same name"):
        ir.plots.compare([run, run])
    many = ir.plots.compare({str(number): run for number in range(9)})
    looks = [
        (tuple(each.get_facecolor()[0]), len(each.get_paths()[0].vertices))  # type: ignore[attr-defined]
        for each in many.collections
    ]
    assert looks[0] != looks[7], "the colours are used again with other markers"


@pytest.mark.usefixtures("no_figures")
def test_a_run_brings_its_analysis(finished_run: Path, tmp_path: Path) -> None:
    run = ir.Run.open(shutil.copytree(finished_run, tmp_path / "quick"))
    with pytest.raises(RunError, match="was not analysed; call"):
        ir.plots.information(run)
    found = ir.analyze(run, images=16, device="cpu")
    ax = ir.plots.information(run)
    names = [each.get_text() for each in ax.get_xticklabels()]
    assert names == list(layers_table(found.table)["layer"])
    assert len(ir.plots.channels(run).collections) > 1
    assert ir.plots.flow(run).get_ylabel() == "attribution"
    assert len(ir.plots.sensitivity(run, "released").collections) > 1
    assert ir.plots.attention(run).ndim == 2
    assert len(ir.plots.channels(found).collections) == len(ir.plots.channels(run).collections)
