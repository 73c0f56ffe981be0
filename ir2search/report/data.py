"""The data of a report, read once from a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ir2search.environment import Session, read_sessions
from ir2search.errors import RunError
from ir2search.files import read_json
from ir2search.runs import Run, front_of
from ir2search.runs.backbones import backbone_curves
from ir2search.runs.differences import advice
from ir2search.runs.hypervolume import hypervolumes
from ir2search.runs.layout import COST_FILE, ENVIRONMENT_FILE, STUDY_FILE
from ir2search.runs.parameters import ParameterEffects, parameter_effects
from ir2search.runs.supernets import supernet_curve
from ir2search.runs.tables import as_searched, knee
from ir2search.space import Candidate
from ir2search.study.schema import Study
from ir2search.training import EpochResult
from ir2search.validation import checked

MAX_DETAILED = 400  # the page has curves and layers of the front and of 400 other trials


@dataclass(frozen=True)
class ShownLayer:
    """The costs of one layer that the page shows."""

    name: str
    flops: int
    bops: int
    memory_bytes: float


@dataclass(frozen=True)
class ReportData:
    """The data of a report.

    Attributes:
        folder: the run's folder.
        study: the run's study.
        study_text: the study file.
        trials: trials as `ir2search.trials` returns them, with ``hypervolume`` (see `hypervolumes`)
            and ``on_front``.
        front: the front as `ir2search.front` returns it, with ``is_knee``.
        advice: what its noise means for the choice of a network, in sentences.
        best: the network of the most accurate trial; None if no trial is trained.
        detailed: numbers of the trials that the page shows in detail: the front and an even sample
            of the others.
        curves: validation accuracy of the detailed trials by ``number`` and ``epoch``.
        layers: costs of the detailed trials by number, with a record for each layer.
        backbones: learning curves of the shared backbones.
        supernet: learning curve of the shared weights; empty if there are none.
        sessions: machine, versions and command of each session of the run, first to last.
        train_images: number of training images; None if the run's version did not record it.
        validation_images: number of validation images; None if it did not record it.
        effects: of the searched parameters, see `parameter_effects`.
    """

    folder: Path
    study: Study
    study_text: str
    trials: pd.DataFrame
    front: pd.DataFrame
    advice: list[str]
    best: Candidate | None
    detailed: list[int]
    curves: pd.DataFrame
    layers: dict[int, list[ShownLayer]]
    backbones: list[list[EpochResult]]
    supernet: list[EpochResult]
    sessions: list[Session]
    train_images: int | None
    validation_images: int | None
    effects: ParameterEffects

    @property
    def kinds(self) -> list[str]:
        """How the trials' networks got their weights, each once; empty without a supernet."""
        return list(self.trials["how"].dropna().unique()) if "how" in self.trials else []

    @property
    def verb(self) -> str:
        """What was done with the candidates, such as "trained"."""
        return "measured" if self.study.supernet is not None else "trained"

    @property
    def extra_epochs(self) -> list[EpochResult]:
        """The epochs of weights that trials share."""
        return [*self.supernet, *(row for curve in self.backbones for row in curve)]


def report_data(run: Run) -> ReportData:
    """Read the data of a report.

    Raises:
        RunError: the run has no trial yet, or one of its files is damaged.
    """
    study, trials = run.study, run.trials()
    if trials.empty:
        raise RunError(f"{run.folder}: the run has not started any trial yet; run it first")
    front = run.described(front_of(trials, study))
    position = knee(front, study) if len(front) else -1
    on_front = trials["number"].isin(front["number"])
    trials = trials.assign(hypervolume=hypervolumes(as_searched(trials), study), on_front=on_front)
    detailed = _detailed(trials)
    return ReportData(
        folder=run.folder,
        study=study,
        study_text=(run.folder / STUDY_FILE).read_text(encoding="utf-8"),
        trials=trials,
        front=front.assign(is_knee=np.arange(len(front)) == position),
        advice=advice(front, study),
        best=run.candidate(int(front["number"].iloc[0])) if len(front) else None,
        detailed=detailed,
        curves=run.curves(detailed),
        layers=_layers(run, detailed),
        backbones=backbone_curves(run.folder),
        supernet=supernet_curve(run.folder),
        sessions=read_sessions(run.folder / ENVIRONMENT_FILE),
        train_images=run.train_images,
        validation_images=run.validation_images,
        effects=parameter_effects(as_searched(trials), study.search_space, study.seed),
    )


def _detailed(trials: pd.DataFrame) -> list[int]:
    front = [int(number) for number in trials.loc[trials["on_front"], "number"]]
    started = trials.loc[trials["epochs"] > 0, "number"]
    others = sorted({int(number) for number in started} - set(front))
    places = np.linspace(0, len(others) - 1, min(MAX_DETAILED, len(others))).astype(int)
    return front + [others[place] for place in np.unique(places)]


def _layers(run: Run, numbers: Iterable[int]) -> dict[int, list[ShownLayer]]:
    files = {number: run.folder_of(number) / COST_FILE for number in numbers}
    return {
        number: checked(read_json(file), _CostFile, file).layers
        for number, file in files.items()
        if file.exists()
    }


@dataclass(frozen=True)
class _CostFile:
    layers: list[ShownLayer]
