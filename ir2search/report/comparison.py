"""Compare the fronts of two runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import moocore
import numpy as np
import pandas as pd

from ir2search.errors import RunError
from ir2search.runs import Run, front_of
from ir2search.runs.hypervolume import reference_point
from ir2search.runs.tables import minimised


@dataclass(frozen=True)
class Comparison:
    """The fronts of two runs.

    Attributes:
        names: names of the two studies, or the runs' folders if the names are the same.
        fronts: the fronts as `ir2search.front` returns them.
        reference: the common reference point by objective, see `reference_point`.
        hypervolumes: hypervolume of each front, as a share of the box from zero error and zero
            cost to the reference point (Zitzler and Thiele, "Multiobjective optimization using
            evolutionary algorithms", PPSN 1998).
        coverages: C(A, B) and C(B, A), see `coverage`.
    """

    names: tuple[str, str]
    fronts: tuple[pd.DataFrame, pd.DataFrame]
    reference: dict[str, float]
    hypervolumes: tuple[float, float]
    coverages: tuple[float, float]

    @property
    def ratio(self) -> float:
        """The first hypervolume over the second."""
        one, other = self.hypervolumes
        return one / other if other else float("inf")


def compare(one: Run | str | Path, other: Run | str | Path) -> Comparison:
    """Compare the fronts of two runs, given by themselves or their folders.

    Accuracies are those on the validation images.

    Raises:
        RunError: a run does not exist or has no trained trial, or the runs differ in their
            objectives or in their number of classes.
    """
    runs = Run.of(one), Run.of(other)
    _check_objectives(*runs)
    tables = [_trained(run) for run in runs]
    _check_classes(*runs, *tables)
    study = runs[0].study
    fronts = [front_of(table, study) for table in tables]
    reference = reference_point(
        np.concatenate([minimised(table, study) for table in tables]), study
    )
    points = [minimised(front, study) / reference for front in fronts]
    corner = np.ones(len(reference))
    volumes = [float(moocore.hypervolume(each, ref=corner)) for each in points]
    names = [run.study.name for run in runs]
    if names[0] == names[1]:
        names = [str(run.folder) for run in runs]
    return Comparison(
        names=(names[0], names[1]),
        fronts=(fronts[0], fronts[1]),
        reference=dict(zip(study.objectives, reference.tolist(), strict=True)),
        hypervolumes=(volumes[0], volumes[1]),
        coverages=(coverage(points[0], points[1]), coverage(points[1], points[0])),
    )


def coverage(one: np.ndarray, other: np.ndarray) -> float:
    """The share of members of ``other`` that a member of ``one`` weakly dominates.

    Weakly dominates means: at least as good in every objective. Both are objectives to minimise,
    (members, objectives). This is the C-metric of Zitzler and Thiele, "Multiobjective evolutionary
    algorithms", IEEE TEC 1999.
    """
    covered = (one[:, None, :] <= other[None, :, :]).all(axis=2).any(axis=0)
    return float(covered.mean())


def comparison_table(comparison: Comparison) -> pd.DataFrame:
    """One row for each run: members, hypervolume, and the share of the other front covered."""
    return pd.DataFrame(
        {
            "run": comparison.names,
            "members": [len(front) for front in comparison.fronts],
            "best_accuracy": [front["accuracy"].max() for front in comparison.fronts],
            "hypervolume": comparison.hypervolumes,
            "covers_of_the_other": comparison.coverages,
        }
    )


def _trained(run: Run) -> pd.DataFrame:
    table = run.trials()
    table = table[table["state"] == "trained"]
    if table.empty:
        raise RunError(f"{run.folder}: no trial has finished training yet; run the study first")
    return table


def _check_objectives(one: Run, other: Run) -> None:
    if set(one.study.objectives) != set(other.study.objectives):
        names = [", ".join(run.study.objectives) for run in (one, other)]
        raise RunError(
            f"{other.folder}: its objectives ({names[1]}) differ from those of {one.folder} "
            f"({names[0]}); compare runs with the same objectives"
        )


def _check_classes(one: Run, other: Run, *tables: pd.DataFrame) -> None:
    first, second = (int(table["classes"].iloc[0]) for table in tables)
    if first != second:
        raise RunError(
            f"{other.folder}: its images have {second} classes, those of {one.folder} have "
            f"{first}; compare runs on the same data"
        )
