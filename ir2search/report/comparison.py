"""Compare the fronts of runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd

from ir2search import text
from ir2search.errors import RunError
from ir2search.report.picks import round_budgets
from ir2search.runs import Run, front_of
from ir2search.runs.hypervolume import reference_point
from ir2search.runs.storages import IMAGES
from ir2search.runs.tables import minimised
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study
from ir2search.study.serialise import definition

MOST_LIMITS = 4  # costs at which accuracies are compared


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs that are compared.

    Attributes:
        name: of its folder; the whole path if two folders have the same name.
        study: the number of its study, from 0: runs whose studies differ only in the seed have the
            same number.
        front: as `ir2search.front` returns it.
        hypervolume: of the front, as a share of the box from zero error and zero cost to the
            reference point (Zitzler and Thiele, "Multiobjective optimization using evolutionary
            algorithms", PPSN 1998).
        accuracies: the best validation accuracy of a network that costs at most each of the
            comparison's limits; NaN if the front has none.
        epochs: trained by all trials together.
        seconds: of the training of all trials.
    """

    name: str
    study: int
    front: pd.DataFrame
    hypervolume: float
    accuracies: tuple[float, ...]
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """The fronts of runs.

    Attributes:
        runs: in the order in which they were given.
        reference: the common reference point by objective, see `reference_point`.
        cost: name of the cost that `limits` limit; the first one of the objectives.
        limits: costs at which the best accuracies are compared; empty without the objective
            accuracy.
        coverages: C(A, B) for each run A, in rows, and B, in columns; see `coverage`.
        warnings: why the runs cannot be compared fairly, in sentences.
    """

    runs: tuple[ComparedRun, ...]
    reference: dict[str, float]
    cost: str
    limits: tuple[float, ...]
    coverages: np.ndarray
    warnings: tuple[str, ...]

    @property
    def groups(self) -> dict[str, list[ComparedRun]]:
        """The runs of each study, by the name of the first with the number of seeds."""
        found: dict[int, list[ComparedRun]] = {}
        for run in self.runs:
            found.setdefault(run.study, []).append(run)
        return {
            runs[0].name + (f" ({len(runs)} seeds)" if len(runs) > 1 else ""): runs
            for runs in found.values()
        }

    def as_dict(self) -> dict[str, Any]:
        """The comparison without the fronts, as values for JSON."""
        return {
            "runs": [
                {
                    "name": run.name,
                    "study": run.study,
                    "front": len(run.front),
                    "hypervolume": run.hypervolume,
                    "accuracies": [None if np.isnan(each) else each for each in run.accuracies],
                    "epochs": run.epochs,
                    "seconds": run.seconds,
                }
                for run in self.runs
            ],
            "reference": self.reference,
            "cost": self.cost,
            "limits": list(self.limits),
            "coverages": self.coverages.tolist(),
            "warnings": list(self.warnings),
        }


def compare(*runs: Run | str | Path) -> Comparison:
    """Compare the fronts of two or more runs, given by themselves or their folders.

    Accuracies are those on the validation images. `Comparison.warnings` says where the runs differ
    in what a comparison needs to be equal.

    Raises:
        RunError: there are fewer than two runs, a run does not exist or has no trained trial, or
            the runs differ in their objectives or in their number of classes.
    """
    opened = [Run.of(run) for run in runs]
    if len(opened) < 2:
        raise RunError("compare: needs two or more runs; give their names or folders")
    _check_objectives(opened)
    tables = [run.trials() for run in opened]
    trained = [_trained(run, table) for run, table in zip(opened, tables, strict=True)]
    _check_classes(opened, trained)
    study = opened[0].study
    fronts = [front_of(table, study) for table in trained]
    reference = reference_point(
        np.concatenate([minimised(table, study) for table in trained]), study
    )
    points = [minimised(front, study) / reference for front in fronts]
    corner = np.ones(len(reference))
    cost = study.costs[0]
    limits = _limits(fronts, cost) if "accuracy" in study.objectives else ()
    compared = [
        ComparedRun(
            name=name,
            study=number,
            front=front,
            hypervolume=float(moocore.hypervolume(place, ref=corner)),
            accuracies=tuple(_best(front, OBJECTIVES[cost].column, limit) for limit in limits),
            epochs=int(table["epochs"].sum()),
            seconds=float(table["seconds"].sum()),
        )
        for name, number, front, place, table in zip(
            _names(opened), _studies(opened), fronts, points, tables, strict=True
        )
    ]
    return Comparison(
        runs=tuple(compared),
        reference=dict(zip(study.objectives, reference.tolist(), strict=True)),
        cost=cost,
        limits=limits,
        coverages=np.array([[coverage(one, other) for other in points] for one in points]),
        warnings=tuple(_warnings(opened, trained, _names(opened))),
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
    """One row for each run: study, members, hypervolume, best accuracies, epochs and seconds."""
    return pd.DataFrame(
        {
            "run": run.name,
            "study": run.study,
            "members": len(run.front),
            "hypervolume": run.hypervolume,
            **{
                f"accuracy_at_{limit:g}_{comparison.cost}": accuracy
                for limit, accuracy in zip(comparison.limits, run.accuracies, strict=True)
            },
            "epochs": run.epochs,
            "seconds": run.seconds,
        }
        for run in comparison.runs
    )


def _names(runs: Sequence[Run]) -> list[str]:
    names = [run.folder.resolve().name for run in runs]
    is_unique = len(set(names)) == len(names)
    return names if is_unique else [str(run.folder) for run in runs]


def _studies(runs: Sequence[Run]) -> list[int]:
    """A number for each run; runs whose studies differ only in the seed have the same one.

    A second run with the same seed is no further sample, so it gets a number of its own.
    """
    keys: list[object] = []
    numbers = []
    for run in runs:
        key: object = _without_seed(run.study)
        taken = {other.study.seed for other, k in zip(runs, keys, strict=False) if k == key}
        if run.study.seed in taken:
            key = run
        keys.append(key)
        numbers.append(keys.index(key))
    return [sorted(set(numbers)).index(number) for number in numbers]


def _without_seed(study: Study) -> dict[str, Any]:
    values = definition(study)
    for name in ("seed", "name", "parallel"):
        values.pop(name, None)
    return {**values, "trials": study.trials}


def _limits(fronts: Sequence[pd.DataFrame], cost: str) -> tuple[float, ...]:
    """Round costs, from one that each front can pay to one that pays for all networks."""
    columns = [front[OBJECTIVES[cost].column].astype(float) for front in fronts]
    ends = [max(column.min() for column in columns), max(column.max() for column in columns)]
    every = round_budgets(pd.Series(ends))
    places = np.linspace(0, len(every) - 1, min(MOST_LIMITS, len(every))).round().astype(int)
    return tuple(every[place] for place in places)


def _best(front: pd.DataFrame, column: str, limit: float) -> float:
    return float(front.loc[front[column] <= limit, "accuracy"].max())


def _warnings(
    runs: Sequence[Run], trained: Sequence[pd.DataFrame], names: Sequence[str]
) -> Iterator[str]:
    """Where the runs differ in what a fair comparison needs to be equal."""
    studies = [run.study for run in runs]
    values: dict[str, list[object]] = {
        "epochs of a trial": [_epochs(study) for study in studies],
        "data": [definition(study)["data"] for study in studies],
        "image size": [tuple(table["image"].iloc[0]) for table in trained],
        "number of validation images": [run.validation_images for run in runs],
        "weights of the measured networks": [
            ", ".join(sorted(table["how"].dropna().unique())) if "how" in table else "trained"
            for table in trained
        ],
        "number of trials": [len(table) for table in trained],
    }
    for what, found in values.items():
        if any(value != found[0] for value in found):
            pairs = zip(names, found, strict=True)
            shown = "; ".join(f"{name}: {_shown(value)}" for name, value in pairs)
            yield f"The runs differ in the {what}: {shown}."
    fingerprints = [run.recorded(IMAGES) for run in runs]
    known = zip(names, studies, values["data"], fingerprints, strict=True)
    for (one, a, data, images), (other, b, *same) in itertools.combinations(known, 2):
        # other seeds split the images in another way, and other settings are named above
        if a.seed == b.seed and data == same[0] and images != same[1]:
            yield f"The runs {one} and {other} have other images."


def _epochs(study: Study) -> int:
    return study.recipe.total_epochs if study.supernet is None else study.supernet.epochs


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return text.names(f"{name} {each}" for name, each in value.items())
    return " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _trained(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    trained = table[table["state"] == "trained"]
    if trained.empty:
        raise RunError(f"{run.folder}: no trial has finished training yet; run the study first")
    return trained


def _check_objectives(runs: Sequence[Run]) -> None:
    first = runs[0]
    for other in runs[1:]:
        if set(other.study.objectives) != set(first.study.objectives):
            names = [", ".join(run.study.objectives) for run in (first, other)]
            raise RunError(
                f"{other.folder}: its objectives ({names[1]}) differ from those of "
                f"{first.folder} ({names[0]}); compare runs with the same objectives"
            )


def _check_classes(runs: Sequence[Run], tables: Sequence[pd.DataFrame]) -> None:
    first, *others = (int(table["classes"].iloc[0]) for table in tables)
    for run, classes in zip(runs[1:], others, strict=True):
        if classes != first:
            raise RunError(
                f"{run.folder}: its images have {classes} classes, those of {runs[0].folder} "
                f"have {first}; compare runs on the same data"
            )
