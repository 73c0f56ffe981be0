"""The data that the script of a page draws, as values for JSON. The script computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from ir2search import text
from ir2search.costs import cost
from ir2search.errors import CandidateError
from ir2search.plots.pareto import accuracy_first
from ir2search.report.about import commands
from ir2search.report.cells import shown_name
from ir2search.report.comparison import Comparison
from ir2search.report.data import ReportData, ShownLayer
from ir2search.runs import json_rows
from ir2search.runs.parameters import (
    Dependence,
    Importance,
    ParameterEffects,
    parameter_values,
)
from ir2search.runs.tables import SHARED
from ir2search.space import Candidate
from ir2search.study.objectives import OBJECTIVES, further_columns
from ir2search.zoo import preset, presets

AXES = {  # columns that an axis of the front can show, with their labels
    "accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "ops": "OPs",
    "flops": "FLOPs",
    "bops": "BOPs",
    "memory_bytes": "memory (bytes)",
    "parameters": "parameters",
    "seconds": "seconds of training",
}
INHERITED = {"inherited_accuracy": "inherited accuracy"}  # of studies with a supernet
COSTS = ("ops", "flops", "bops", "memory_bytes", "parameters")
DECIMALS = 5  # of accuracies and hypervolumes in the page


def page_view(data: ReportData) -> dict[str, Any]:
    """The data for the script of a report's page."""
    study, effects = data.study, data.effects
    inherited = {} if study.supernet is None else INHERITED
    return {
        **_axes(study.objectives, inherited),
        "objectives": [OBJECTIVES[name].column for name in study.objectives],
        "trials": _columns(data),
        "members": data.front["number"].tolist(),
        "commands": commands(data.folder),
        "spreads": _spreads(data.front),
        "intervals": _intervals(data.front),
        "references": _references(data.best),
        "progress": _progress(data),
        "rungs": list(study.rungs.levels(study.recipe.epochs)) if study.rungs else [],
        "curves": _curves(data),
        "layers": _layers(data.layers),
        "parameters": _parameters(effects),
    }


def comparison_view(comparison: Comparison) -> dict[str, Any]:
    """The data for the script of a comparison's page."""
    objectives = list(comparison.reference)
    columns = ("number", *AXES, *further_columns(objectives))
    return {
        **_axes(objectives),
        "fronts": [
            {
                "name": run.name,
                "group": group,
                "label": label if run is runs[0] else None,
                "trials": {c: _listed(run.front[c]) for c in columns},
            }
            for group, (label, runs) in enumerate(comparison.groups.items())
            for run in runs
        ],
    }


def _axes(
    objectives: Sequence[str], more: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """The columns that an axis can show, with ``more``, and the two columns at the start."""
    columns = {**AXES, **more, **further_columns(objectives)}
    vertical, horizontal, *_ = accuracy_first(objectives)
    return {
        "axes": [{"column": column, "label": label} for column, label in columns.items()],
        "x": OBJECTIVES[horizontal].column,
        "y": OBJECTIVES[vertical].column,
    }


def _columns(data: ReportData) -> dict[str, list[Any]]:
    """The columns of the table of trials, and the values of the searched parameters."""
    trials, own = data.trials, further_columns(data.study.costs)
    knee = set(data.front.loc[data.front["is_knee"], "number"])
    columns = {
        name: _listed(trials[name])
        for name in ("number", "state", "outcome", "epochs", *AXES, *own)
    }
    columns |= {name: _listed(trials[name]) for name in SHARED if name in trials}
    columns["on_front"] = trials["on_front"].tolist()
    columns["is_knee"] = [number in knee for number in trials["number"]]
    columns["name"] = [text.network(row) for row in json_rows(trials)]
    for name in data.study.search_space.searched:
        columns[f"space.{shown_name(name)}"] = _listed(parameter_values(trials, name))
    return columns


def _spreads(front: pd.DataFrame) -> dict[str, list[float]]:
    """Mean and standard deviation of accuracy by trial, for trials with several seeds."""
    return {
        str(number): [float(np.mean(values)), float(np.std(values, ddof=1))]
        for number, values in zip(front["number"], front["seed_accuracies"], strict=True)
        if len(values) > 1
    }


def _intervals(front: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Both ends of the intervals of each accuracy, by column and trial; only known ones."""
    return {
        name: {
            str(row["number"]): [round(row[f"{name}_{end}"], DECIMALS) for end in ("low", "high")]
            for row in json_rows(front)
            if row[f"{name}_low"] is not None
        }
        for name in ("accuracy", "test_accuracy")
    }


def _references(best: Candidate | None) -> list[dict[str, Any]]:
    """Costs of the paper's networks on the run's images, and of the best network's twin."""
    if best is None:
        return []
    found: dict[str, Candidate] = {}
    for name in presets():
        try:
            candidate = preset(name, best.classes, best.image)
        except CandidateError:
            continue
        if candidate.backbone == best.backbone:
            found[name] = candidate
    found["full-precision twin of the most accurate network"] = best.twin()
    return [
        {"name": name} | {column: float(getattr(cost(each), column)) for column in COSTS}
        for name, each in found.items()
    ]


def _progress(data: ReportData) -> dict[str, list[Any]]:
    """After each trial: its number, the trained epochs so far, and the hypervolume."""
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


def _layers(layers: Mapping[int, Sequence[ShownLayer]]) -> dict[str, list[list[Any]]]:
    """Name, FLOPs, BOPs and bytes of each layer that has any, by trial."""
    return {
        str(number): [
            [row.name, row.flops, row.bops, row.memory_bytes]
            for row in rows
            if row.flops or row.bops or row.memory_bytes
        ]
        for number, rows in layers.items()
    }


def _parameters(effects: ParameterEffects) -> dict[str, Any]:
    """Importances and dependences of the searched parameters."""

    def rows(found: Iterable[Importance | Dependence]) -> list[dict[str, Any]]:
        return [asdict(each) | {"parameter": shown_name(each.parameter)} for each in found]

    return {"importances": rows(effects.importances), "dependences": rows(effects.dependences)}


def _listed(column: pd.Series[Any]) -> list[Any]:
    """The values of a column, with None for missing ones."""
    return [None if value is pd.NA or value != value else value for value in column.tolist()]
