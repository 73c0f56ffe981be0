"""The data behind a report's figures and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import moocore
import numpy as np
import pandas as pd

from ir2search.files import read_json, read_json_lines
from ir2search.runs.tables import front_of, knee, minimised
from ir2search.search.confirm import indistinguishable
from ir2search.study.schema import Study

DETAILED = 400  # trials beyond the front


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Attributes:
        study: the run's study.
        trials: as `ir2search.trials` gives them, with ``hypervolume``, see `hypervolumes`, and
            ``on_front``.
        front: the trials on the front, best accuracy first, with ``is_knee`` and ``alike``, see
            `indistinguishable`.
        detailed: numbers of the trials that are shown in detail: the front, and others evenly
            over the search.
        curves: validation accuracy of these by ``number`` and ``epoch``.
        environment: the run's sessions, first to last.
    """

    study: Study
    trials: pd.DataFrame
    front: pd.DataFrame
    detailed: list[int]
    curves: pd.DataFrame
    environment: list[dict[str, object]]


def report_data(folder: Path, study: Study, trials: pd.DataFrame) -> ReportData:
    """Gather a report's data from a run's folder and its table of trials."""
    front = front_of(trials, study)
    trials = trials.assign(
        hypervolume=hypervolumes(trials, study), on_front=trials["number"].isin(front["number"])
    )
    position = knee(front, study) if len(front) else -1
    environment = read_json(folder / "environment.json")["sessions"]
    detailed = _detailed(trials)
    return ReportData(
        study=study,
        trials=trials,
        front=front.assign(
            is_knee=np.arange(len(front)) == position,
            alike=pd.Series(indistinguishable(front), dtype=object),
        ),
        detailed=detailed,
        curves=_curves(folder, detailed),
        environment=environment,
    )


def hypervolumes(trials: pd.DataFrame, study: Study) -> list[float]:
    """Hypervolume of the front after each trial, as a share of the box it can fill.

    The box goes from no error and no cost to an error of 1 and a tenth more than the greatest
    cost that was trained: hypervolume (Zitzler and Thiele, 1998) with that corner as reference
    point, each objective divided by it. It never falls from one trial to the next.
    """
    trained = (trials["state"] == "trained").to_numpy()
    if not trained.any():
        return [0.0] * len(trials)
    values = minimised(trials, study)
    reference = np.where(
        [name == "accuracy" for name in study.objectives], 1.0, 1.1 * values[trained].max(axis=0)
    )
    scaled = values / reference
    result, current = [], 0.0
    front = np.empty((0, len(reference)))
    for row in range(len(trials)):
        if trained[row] and not (front <= scaled[row]).all(axis=1).any():
            grown = np.vstack([front, scaled[row]])
            front = grown[moocore.is_nondominated(grown)]
            current = float(moocore.hypervolume(front, ref=np.ones(len(reference))))
        result.append(current)
    return result


def _detailed(trials: pd.DataFrame) -> list[int]:
    front = [int(number) for number in trials.loc[trials["on_front"], "number"]]
    begun = trials.loc[trials["epochs"] > 0, "number"]
    others = sorted({int(number) for number in begun} - set(front))
    places = np.linspace(0, len(others) - 1, min(DETAILED, len(others))).astype(int)
    return front + [others[place] for place in np.unique(places)]


def _curves(folder: Path, numbers: Iterable[int]) -> pd.DataFrame:
    rows = []
    for number in numbers:
        file = folder / "trials" / str(number) / "curve.jsonl"
        if file.exists():
            rows += [
                (number, point["epoch"], point["validation_accuracy"], point["restricted_share"])
                for point in read_json_lines(file)
            ]
    return pd.DataFrame(rows, columns=["number", "epoch", "accuracy", "restricted_share"])
