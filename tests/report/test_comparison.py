from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from replay import replaying

import ir2search as ir
from ir2search.errors import RunError
from ir2search.report.comparison import coverage
from ir2search.runs.tables import minimised
from ir2search.study.schema import parse_study


@pytest.fixture(scope="module")
def other_run(tmp_path_factory: pytest.TempPathFactory, finished_run: Path) -> Path:
    study = ir.load_study(finished_run / "study.toml")
    folder = tmp_path_factory.mktemp("other") / "other"
    study = study.model_copy(update={"name": "other", "seed": 1})
    ir.run(study, folder, device="cpu", executor=replaying())
    return folder


def points(rows: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (rows, 2), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))


@given(points(4), points(3))
def test_coverage_agrees_with_counting(one: np.ndarray, other: np.ndarray) -> None:
    covered = [any(a[0] <= b[0] and a[1] <= b[1] for a in one) for b in other]
    assert coverage(one, other) == sum(covered) / len(covered)
    assert coverage(one, one) == 1


def test_hypervolumes_are_areas_under_a_common_reference(
    finished_run: Path, other_run: Path
) -> None:
    found = ir.compare(finished_run, other_run)
    study = ir.load_study(finished_run / "study.toml")
    trained = [
        ir.trials(folder).query("state == 'trained'") for folder in (finished_run, other_run)
    ]
    assert found.reference["accuracy"] == 1
    assert found.reference["ops"] == pytest.approx(1.1 * max(t["ops"].max() for t in trained))
    for front, volume in zip(found.fronts, found.hypervolumes, strict=True):
        rows = minimised(front, study) / list(found.reference.values())
        rows = rows[rows[:, 1].argsort()]  # sorted by cost, the errors fall: add up the steps
        errors = np.concatenate([[1.0], rows[:, 0]])
        area = sum((errors[i] - errors[i + 1]) * (1 - rows[i, 1]) for i in range(len(rows)))
        assert volume == pytest.approx(area)
    back = ir.compare(other_run, finished_run)
    assert back.hypervolumes == found.hypervolumes[::-1]
    assert back.coverages == found.coverages[::-1]
    assert back.ratio == pytest.approx(1 / found.ratio)


def test_a_run_compared_with_itself_is_equal(finished_run: Path) -> None:
    found = ir.compare(finished_run, finished_run)
    assert found.ratio == 1
    assert found.coverages == (1, 1)


def test_the_comparison_is_written(finished_run: Path, other_run: Path) -> None:
    page = ir.write_comparison(other_run, finished_run)
    assert page == other_run / "report" / "compare-quick.html"
    table = pd.read_csv(page.with_suffix(".csv"))
    assert list(table["run"]) == ["other", "quick"]
    assert "times the hypervolume" in page.read_text()
    assert (other_run / "report" / "figures" / "compare-quick-column.pdf").exists()


def test_runs_with_different_objectives_are_refused(
    finished_run: Path, tmp_path: Path, quick: dict[str, Any]
) -> None:
    study = parse_study({**quick, "trials": 1, "objectives": ["accuracy", "memory"]}, "a.toml")
    ir.run(study, tmp_path / "run", device="cpu", executor=replaying())
    with pytest.raises(RunError, match=r"run: its objectives \(.*\) differ from those of .*quick"):
        ir.compare(finished_run, tmp_path / "run")
    with pytest.raises(RunError, match="nowhere"):
        ir.compare(finished_run, tmp_path / "nowhere")
