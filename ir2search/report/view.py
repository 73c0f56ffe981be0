"""What a report's page draws, as values that JSON can hold. The page computes nothing itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ir2search import text
from ir2search.costs import cost
from ir2search.errors import CandidateError
from ir2search.files import read_json
from ir2search.report.comparison import Comparison
from ir2search.report.parameters import parameter_effects, parameter_values
from ir2search.report.picks import budget_name, picks
from ir2search.report.tables import ReportData
from ir2search.runs import Run, json_rows
from ir2search.runs.layout import trial_folder
from ir2search.space import TAP, Candidate
from ir2search.study.objectives import OBJECTIVES, own_columns
from ir2search.zoo import preset, presets

AXES = {  # columns that an axis of the front may show, with their names
    "accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "ops": "OPs",
    "flops": "FLOPs",
    "bops": "BOPs",
    "memory_bytes": "memory (bytes)",
    "parameters": "parameters",
    "seconds": "seconds of training",
}
COSTS = ("ops", "flops", "bops", "memory_bytes", "parameters")
DECIMALS = 5  # of an accuracy


def page_view(data: ReportData, folder: Path) -> dict[str, Any]:
    """All that the page's script draws from.

    Args:
        data: of the report.
        folder: the run's.
    """
    study = data.study
    vertical = "accuracy" if "accuracy" in study.objectives else study.objectives[0]
    horizontal = next(name for name in study.objectives if name != vertical)
    return {
        "axes": _axes(study.costs),
        "x": OBJECTIVES[horizontal].column,
        "y": OBJECTIVES[vertical].column,
        "objectives": [OBJECTIVES[name].column for name in study.objectives],
        "trials": _columns(data),
        "spreads": _spreads(data.front),
        "references": _references(data, folder),
        "progress": _progress(data),
        "rungs": list(study.rungs.levels(study.recipe.epochs)) if study.rungs else [],
        "curves": _curves(data),
        "layers": _layers(folder, data.detailed),
        "parameters": _parameters(data),
    }


def answer(data: ReportData) -> list[dict[str, str]]:
    """What to take for which budget, in words: ``budget``, ``number``, ``accuracy``, ``test``."""
    name = budget_name(data.study)
    objective = None if name is None else OBJECTIVES[name]
    rows = {row["number"]: row for row in json_rows(data.front)}
    answers = []
    for pick in picks(data.front, data.study):
        row = rows[pick.number]
        answers.append(
            {
                "budget": objective.read(pick.limit) if objective else "",
                "number": str(pick.number),
                "accuracy": _accuracy(row["accuracy"], row["seed_accuracies"]),
                "test": _accuracy(row["test_accuracy"], row["seed_test_accuracies"]),
                "cost": objective.read(row[objective.column]) if objective else "",
            }
        )
    return answers


def comparison_view(comparison: Comparison) -> dict[str, Any]:
    """The same for two runs' fronts."""
    objectives = list(comparison.reference)
    vertical = "accuracy" if "accuracy" in objectives else objectives[0]
    horizontal = next(name for name in objectives if name != vertical)
    columns = ("number", *AXES, *own_columns(objectives))
    return {
        "axes": _axes(objectives),
        "x": OBJECTIVES[horizontal].column,
        "y": OBJECTIVES[vertical].column,
        "fronts": [
            {"name": name, "trials": {c: _listed(front[c]) for c in columns}}
            for name, front in zip(comparison.names, comparison.fronts, strict=True)
        ],
    }


def _axes(objectives: Iterable[str]) -> list[dict[str, str]]:
    """Columns that an axis may show, with their labels."""
    columns = AXES | own_columns(objectives)
    return [{"column": column, "label": label} for column, label in columns.items()]


def _accuracy(own: float | None, seeds: list[float]) -> str:
    if len(seeds) > 1:
        return text.spread(seeds)
    return text.percent(own)


def _columns(data: ReportData) -> dict[str, list[Any]]:
    """The table of trials by column, and the values of searched parameters."""
    trials, own = data.trials, own_columns(data.study.costs)
    knee = set(data.front.loc[data.front["is_knee"], "number"])
    columns = {
        name: _listed(trials[name])
        for name in ("number", "state", "outcome", "epochs", *AXES, *own)
    }
    columns["on_front"] = trials["on_front"].tolist()
    columns["is_knee"] = [number in knee for number in trials["number"]]
    columns["name"] = [text.network(row) for row in json_rows(trials)]
    for name in data.study.space.searched:
        columns[f"space.{_shown(name)}"] = _listed(parameter_values(trials, name))
    return columns


def _spreads(front: pd.DataFrame) -> dict[str, list[float]]:
    """Mean and standard deviation of accuracy over seeds, by member that has several."""
    return {
        str(number): [float(np.mean(values)), float(np.std(values, ddof=1))]
        for number, values in zip(front["number"], front["seed_accuracies"], strict=True)
        if len(values) > 1
    }


def _references(data: ReportData, folder: Path) -> list[dict[str, Any]]:
    """Costs of the paper's networks on these images, and of the best member's real twin."""
    if data.front.empty:
        return []
    best = Run.open(folder).candidate(int(data.front["number"].iloc[0]))
    found: dict[str, Candidate] = {}
    for name in presets():
        try:
            candidate = preset(name, best.classes, best.image)
        except CandidateError:
            continue
        if candidate.backbone == best.backbone:
            found[name] = candidate
    found["full-precision twin of the best"] = best.twin()
    return [
        {"name": name} | {column: float(getattr(cost(each), column)) for column in COSTS}
        for name, each in found.items()
    ]


def _progress(data: ReportData) -> dict[str, list[Any]]:
    """Hypervolume after each trial, over trials and over epochs spent."""
    return {
        "number": data.trials["number"].tolist(),
        "epochs": data.trials["epochs"].cumsum().tolist(),
        "hypervolume": [round(value, DECIMALS) for value in data.trials["hypervolume"]],
    }


def _curves(data: ReportData) -> dict[str, list[float]]:
    return {
        str(number): curve["accuracy"].round(DECIMALS).tolist()
        for number, curve in data.curves.groupby("number")
    }


def _layers(folder: Path, detailed: Iterable[int]) -> dict[str, list[list[Any]]]:
    """Costs of those layers that have any, by trial: name, FLOPs, BOPs, bytes."""
    found = {}
    for number in detailed:
        file = trial_folder(folder, number) / "cost.json"
        if file.exists():
            found[str(number)] = [
                [row["name"], row["flops"], row["bops"], row["memory_bytes"]]
                for row in read_json(file)["layers"]
                if row["flops"] or row["bops"] or row["memory_bytes"]
            ]
    return found


def _parameters(data: ReportData) -> dict[str, Any]:
    """Importances and dependences of the searched parameters."""
    found = parameter_effects(data.trials, data.study.space, data.study.seed)
    return {
        "importances": [
            asdict(each) | {"parameter": _shown(each.parameter)} for each in found.importances
        ],
        "dependences": [
            asdict(each) | {"parameter": _shown(each.parameter)} for each in found.dependences
        ],
        "explained": dict(found.explained),
    }


def _shown(name: str) -> str:
    """A parameter as a report's reader knows it."""
    if name == "fusion_ratio":
        return "fusion width m"
    return f"tap {name.removeprefix(TAP)}" if name.startswith(TAP) else name.replace("_", " ")


def _listed(column: pd.Series[Any]) -> list[Any]:
    """A column's values, None for what is missing."""
    return [None if value is pd.NA or value != value else value for value in column.tolist()]
