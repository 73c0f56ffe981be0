"""Two runs beside each other: their fronts, hypervolumes and how much of each other they cover."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import moocore
import numpy as np
import pandas as pd

from ir2search.errors import RunError
from ir2search.search import front_of, trials
from ir2search.search.folder import saved_study
from ir2search.search.results import minimised
from ir2search.search.study import Study


@dataclass(frozen=True)
class Comparison:
    """How the fronts of two runs stand to each other.

    Attributes:
        names: of the runs, as people read them.
        objectives: which both searched for.
        fronts: of each.
        hypervolumes: of each front, as shares of one box: from no error and no cost to an error
            of 1 and a tenth more than the greatest cost that either run trained.
        coverage: C(A, B) and C(B, A), see `coverage`.
    """

    names: tuple[str, str]
    objectives: tuple[str, ...]
    fronts: tuple[pd.DataFrame, pd.DataFrame]
    hypervolumes: tuple[float, float]
    coverage: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Hypervolume of the second over that of the first; infinite where that is 0."""
        first, second = self.hypervolumes
        return second / first if first else float("inf")


def compare(folder: str | Path, other: str | Path) -> Comparison:
    """Compare the fronts of two runs that searched for the same objectives on like images.

    Raises:
        RunError: one is no run, has trained nothing, or cannot be compared with the other.
    """
    folders = Path(folder), Path(other)
    studies = saved_study(folders[0]), saved_study(folders[1])
    tables = trials(folders[0]), trials(folders[1])
    _check_alike(folders, studies, tables)
    fronts = front_of(tables[0], studies[0]), front_of(tables[1], studies[0])
    points = minimised(fronts[0], studies[0]), minimised(fronts[1], studies[0])
    trained = [minimised(t[t["state"] == "trained"], studies[0]) for t in tables]
    worst = 1.1 * np.concatenate(trained).max(axis=0)
    corner = np.where([name == "accuracy" for name in studies[0].objectives], 1.0, worst)
    scale = np.where(corner > 0, corner, 1.0)
    return Comparison(
        names=_names(folders, studies),
        objectives=studies[0].objectives,
        fronts=fronts,
        hypervolumes=(_volume(points[0] / scale), _volume(points[1] / scale)),
        coverage=(coverage(points[0], points[1]), coverage(points[1], points[0])),
    )


def coverage(points: np.ndarray, others: np.ndarray) -> float:
    """The share of ``others`` that some of ``points`` equals or betters in every objective.

    Zitzler and Thiele, "Multiobjective evolutionary algorithms: a comparative case study and the
    strength Pareto approach", IEEE Trans. Evol. Comp. 1999, definition 3: C(points, others). It
    is not symmetric: C(A, B) and C(B, A) belong together.

    Args:
        points: (n, objectives), each to be made small.
        others: (m, objectives), m at least 1.
    """
    covers = (points[:, None, :] <= others[None, :, :]).all(axis=2)
    return float(covers.any(axis=0).mean())


def _volume(scaled: np.ndarray) -> float:
    return float(moocore.hypervolume(scaled, ref=np.ones(scaled.shape[1])))


def _names(folders: tuple[Path, Path], studies: tuple[Study, Study]) -> tuple[str, str]:
    """The studies' names; with the folders' where those are the same."""
    first, second = studies[0].name, studies[1].name
    if first != second:
        return first, second
    return f"{first} ({_place(folders[0])})", f"{second} ({_place(folders[1])})"


def _place(folder: Path) -> str:
    whole = folder.resolve()
    return f"{whole.parent.name}/{whole.name}"


def _check_alike(
    folders: tuple[Path, Path],
    studies: tuple[Study, Study],
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    for folder, table in zip(folders, tables, strict=True):
        if not (table["state"] == "trained").any():
            raise RunError(f"{folder}: no trial has finished training yet; run the study first")
    first, second = (sorted(study.objectives) for study in studies)
    if first != second:
        raise RunError(
            f"{folders[1]}: searched for {', '.join(second)}, but {folders[0]} for "
            f"{', '.join(first)}; only runs with the same objectives can be compared"
        )
    images, others = (_images(table) for table in tables)
    if images != others:
        raise RunError(
            f"{folders[1]}: its images are {others}, but those of {folders[0]} are {images}; "
            "only runs on like images can be compared"
        )


def _images(table: pd.DataFrame) -> str:
    row = table[table["state"] == "trained"].iloc[0]
    return f"{' x '.join(map(str, row['image']))} of {row['classes']} classes"
