from __future__ import annotations

import statistics
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
from ir2search.report.cells import comparison_cells
from ir2search.report.comparison import coverage
from ir2search.runs.tables import minimised
from ir2search.study.loading import parse_study


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
    for run in found.runs:
        rows = minimised(run.front, study) / list(found.reference.values())
        rows = rows[rows[:, 1].argsort()]  # sorted by cost, the errors fall: add up the steps
        errors = np.concatenate([[1.0], rows[:, 0]])
        area = sum((errors[i] - errors[i + 1]) * (1 - rows[i, 1]) for i in range(len(rows)))
        assert run.hypervolume == pytest.approx(area)
    back = ir.compare(other_run, finished_run)
    assert [run.hypervolume for run in back.runs] == [
        run.hypervolume for run in reversed(found.runs)
    ]
    assert (back.coverages == found.coverages[::-1, ::-1]).all()


def test_accuracies_are_compared_at_equal_costs(finished_run: Path, other_run: Path) -> None:
    found = ir.compare(finished_run, other_run)
    assert 1 <= len(found.limits) <= 4
    assert list(found.limits) == sorted(found.limits)
    for run in found.runs:
        for limit, accuracy in zip(found.limits, run.accuracies, strict=True):
            within = run.front[run.front["ops"] <= limit]
            assert accuracy == within["accuracy"].max()
    assert found.limits[-1] >= max(run.front["ops"].max() for run in found.runs)


def test_runs_that_differ_in_the_seed_are_one_study(finished_run: Path, other_run: Path) -> None:
    found = ir.compare(finished_run, other_run, finished_run)
    assert [run.study for run in found.runs] == [0, 0, 1], "the same seed is no further sample"
    one, again = comparison_cells(found).to_dict("records")
    volumes = [run.hypervolume for run in found.runs[:2]]
    mean, spread = statistics.mean(volumes), statistics.stdev(volumes)
    assert one["hypervolume"] == f"{mean:.4f}\n± {spread:.4f}"
    assert one["run"].endswith(" (2 seeds)")
    assert again["hypervolume"] == f"{volumes[0]:.4f}"
    assert (found.coverages[[0, 2], [2, 0]] == 1).all(), "a run covers itself"
    assert found.warnings == ()


def test_runs_with_other_epochs_or_images_are_compared_with_a_warning(
    finished_run: Path, tmp_path: Path, quick: dict[str, Any]
) -> None:
    recipe = quick["recipe"] | {"epochs": 3}
    data = quick["data"] | {"validation": 0.3}
    study = parse_study({**quick, "trials": 2, "recipe": recipe, "data": data}, "a.toml")
    ir.run(study, tmp_path / "longer", device="cpu", executor=replaying())
    warnings = " ".join(ir.compare(finished_run, tmp_path / "longer").warnings)
    assert "differ in the epochs of a trial: quick: 2; longer: 3." in warnings
    assert "differ in the data: " in warnings
    assert "differ in the number of trials: quick: 5; longer: 2." in warnings


@pytest.mark.usefixtures("figures_once")
def test_a_comparison_of_many_runs_is_written(
    finished_run: Path, other_run: Path, tmp_path: Path
) -> None:
    runs = [finished_run] * 8 + [other_run]
    page = ir.write_comparison(*runs, folder=tmp_path / "page")
    table = pd.read_csv(tmp_path / "page" / "comparison.csv")
    assert list(table["run"]) == [str(run) for run in runs]
    assert page.read_text().count("(2 seeds)") > 1
    assert (tmp_path / "page" / "fronts.svg").exists()
    with pytest.raises(RunError, match="two or more runs"):
        ir.compare(finished_run)


def test_runs_with_different_objectives_are_refused(
    finished_run: Path, tmp_path: Path, quick: dict[str, Any]
) -> None:
    study = parse_study({**quick, "trials": 1, "objectives": ["accuracy", "memory"]}, "a.toml")
    ir.run(study, tmp_path / "run", device="cpu", executor=replaying())
    with pytest.raises(RunError, match=r"run: its objectives \(.*\) differ from those of .*quick"):
        ir.compare(finished_run, tmp_path / "run")
    with pytest.raises(RunError, match="nowhere"):
        ir.compare(finished_run, tmp_path / "nowhere")
