from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ir2search as ir
from ir2search.errors import RunError
from ir2search.report.comparison import compare, coverage
from ir2search.search.study import parse_study

POINT = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
POINTS = st.lists(POINT, min_size=1, max_size=8)


@given(POINTS, POINTS)
def test_coverage_is_counted_pair_by_pair(
    points: list[tuple[int, ...]], others: list[tuple[int, ...]]
) -> None:
    covered = 0
    for other in others:
        covered += any(all(p <= o for p, o in zip(point, other, strict=True)) for point in points)
    assert coverage(np.array(points), np.array(others)) == covered / len(others)


def test_two_runs_against_brute_force(
    finished_run: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    ir.run(parse_study({**quick, "name": "other", "seed": 1, "trials": 2}, "a.toml"), other)
    found = compare(finished_run, other)
    tables = [ir.trials(folder).query("state == 'trained'") for folder in (finished_run, other)]
    most = 1.1 * max(table["ops"].max() for table in tables)
    # the share of a fine grid of the box that a front dominates
    errors, costs = np.meshgrid(np.linspace(0, 1, 1001), np.linspace(0, 1, 1001))
    for table, volume in zip(tables, found.hypervolumes, strict=True):
        dominated = np.zeros_like(errors, dtype=bool)
        for row in table.itertuples():
            dominated |= (1 - row.accuracy <= errors) & (row.ops / most <= costs)
        assert volume == pytest.approx(dominated.mean(), abs=0.003)
    assert found.ratio == found.hypervolumes[1] / found.hypervolumes[0]
    assert found.names == ("quick", "other")
    back = compare(other, finished_run)
    assert back.coverage == found.coverage[::-1]
    assert back.hypervolumes == found.hypervolumes[::-1]


def test_a_run_covers_itself_and_is_told_from_its_copy_by_its_folder(
    finished_run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "copy")
    found = compare(finished_run, copy)
    assert found.coverage == (1, 1)
    assert found.ratio == 1
    assert found.names[0] != found.names[1]
    assert found.names[1].endswith("/copy)")


def test_runs_of_other_objectives_or_images_are_refused(
    finished_run: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    ir.run(
        parse_study({**quick, "trials": 1, "objectives": ["accuracy", "memory"]}, "a.toml"),
        tmp_path / "memory",
    )
    with pytest.raises(
        RunError, match=r"searched for accuracy, memory, but .*quick for accuracy, o"
    ):
        compare(finished_run, tmp_path / "memory")
    quick["data"]["size"] = 10
    ir.run(parse_study({**quick, "trials": 1}, "a.toml"), tmp_path / "larger")
    with pytest.raises(RunError, match="its images are 1 x 10 x 10 of 10 classes, but"):
        compare(finished_run, tmp_path / "larger")
