"""Two runs' fronts, one against the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import moocore
import numpy as np
import pandas as pd

from ir2search.errors import RunError
from ir2search.runs import trials
from ir2search.runs.saved import saved_study
from ir2search.runs.tables import front_of, minimised


@dataclass(frozen=True)
class Comparison:
    """The fronts of two runs.

    Attributes:
        names: of the runs: their studies', or their folders' where those are the same.
        fronts: as `ir2search.front` gives them.
        reference: the common reference point, by objective: an error of 1, and a tenth more than
            the greatest cost that either run trained.
        hypervolumes: of each front, as a share of the box from no error and no cost to the
            reference point (Zitzler and Thiele, "Multiobjective optimization using evolutionary
            algorithms", PPSN 1998).
        coverages: C(A, B) and C(B, A): the share of the other front's members that a member of
            this one is at least as good as in every objective (the C-metric of Zitzler and Thiele,
            "Multiobjective evolutionary algorithms", IEEE TEC 1999).
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


def compare(one: str | Path, other: str | Path) -> Comparison:
    """Compare the fronts of two runs on validation images.

    Raises:
        RunError: there is no such run, nothing is trained, or they have other objectives or
            another number of classes.
    """
    folders = Path(one), Path(other)
    studies = [saved_study(folder) for folder in folders]
    if set(studies[0].objectives) != set(studies[1].objectives):
        given = (", ".join(study.objectives) for study in studies)
        raise RunError(
            f"{other}: its objectives differ from those of {one} ({' against '.join(given)}); "
            "compare runs with the same objectives"
        )
    tables = [trials(folder) for folder in folders]
    trained = [table[table["state"] == "trained"] for table in tables]
    for folder, table in zip(folders, trained, strict=True):
        if table.empty:
            raise RunError(f"{folder}: no trial has finished training yet; run the study first")
    _check_classes(folders, trained)
    study = studies[0]
    fronts = [front_of(table, study) for table in trained]
    greatest = np.concatenate([minimised(table, study) for table in trained]).max(axis=0)
    errors = [name == "accuracy" for name in study.objectives]
    reference = np.where(errors, 1.0, np.maximum(1.1 * greatest, 1e-12))
    points = [minimised(front, study) / reference for front in fronts]
    one_volume, other_volume = (
        float(moocore.hypervolume(each, ref=np.ones(len(reference)))) for each in points
    )
    names = [study.name for study in studies]
    if names[0] == names[1]:
        names = [str(folder) for folder in folders]
    return Comparison(
        names=(names[0], names[1]),
        fronts=(fronts[0], fronts[1]),
        reference=dict(zip(study.objectives, reference.tolist(), strict=True)),
        hypervolumes=(one_volume, other_volume),
        coverages=(coverage(points[0], points[1]), coverage(points[1], points[0])),
    )


def coverage(one: np.ndarray, other: np.ndarray) -> float:
    """The share of ``other``'s rows to which some row of ``one`` is equal or better throughout.

    Args:
        one: (members, objectives), each objective to be made small.
        other: likewise.
    """
    covered = (one[:, None, :] <= other[None, :, :]).all(axis=2).any(axis=0)
    return float(covered.mean())


def comparison_table(comparison: Comparison) -> pd.DataFrame:
    """One row a run: members, hypervolume, and how much of the other front it covers."""
    return pd.DataFrame(
        {
            "run": comparison.names,
            "members": [len(front) for front in comparison.fronts],
            "best_accuracy": [front["accuracy"].max() for front in comparison.fronts],
            "hypervolume": comparison.hypervolumes,
            "covers_of_the_other": comparison.coverages,
        }
    )


def _check_classes(folders: tuple[Path, Path], tables: list[pd.DataFrame]) -> None:
    one, other = ({int(classes) for classes in table["classes"]} for table in tables)
    if one != other:
        raise RunError(
            f"{folders[1]}: its images have {other.pop()} classes, those of {folders[0]} have "
            f"{one.pop()}; compare runs on the same data"
        )
