"""Tables as text, for the page and for the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ir2search import text
from ir2search.runs import json_rows
from ir2search.space import TAP
from ir2search.study.objectives import OBJECTIVES

if TYPE_CHECKING:
    from ir2search.report.comparison import Comparison  # its imports take a second


def shown_name(parameter: str) -> str:
    """The name of a searched parameter for the reader of a report."""
    if parameter == "fusion_ratio":
        return "fusion width m"
    tap = parameter.removeprefix(TAP)
    return f"tap {tap}" if tap != parameter else parameter.replace("_", " ")


def information_cells(layers: pd.DataFrame) -> pd.DataFrame:
    """The table of `ir2search.measures.layers_table` as text, without columns that have nothing."""
    rows = [
        {
            "layer": row["layer"],
            "information (bits)": text.number(row["information"]),
            "in the twin": text.number(row["twin_information"]),
            "without recovery": text.number(row["plain_information"]),
            "change in the layer": text.loss(row["loss"], row["loss_low"], row["loss_high"]),
            "sign entropy": text.number(row["sign_entropy"]),
            "attention similarity to the twin": text.number(row["attention_similarity"]),
            "CKA": text.number(row["cka"]),
        }
        for row in json_rows(layers)
    ]
    found = pd.DataFrame(rows)
    return found.loc[:, (found != text.NOTHING).any()]


def sensitivity_cells(swept: pd.DataFrame) -> pd.DataFrame:
    """The table of `ir2search.measures.sensitivity_table` as text, a row for each layer."""
    found: dict[str, dict[str, str]] = {}
    for row in json_rows(swept):
        cells = found.setdefault(row["layer"], {"layer": row["layer"]})
        for direction in ("binarised", "released"):
            name = f"{direction}_accuracy_points"
            ends = (row[name], row[f"{name}_low"], row[f"{name}_high"])
            cells[f"{row['part']} {direction} (points)"] = text.change(*ends)
        cells["OPs of the release"] = text.count(row["released_ops"])
    names = list(dict.fromkeys(name for cells in found.values() for name in cells))
    return pd.DataFrame(found.values(), columns=sorted(names, key=_place)).fillna(text.NOTHING)


def _place(column: str) -> int:
    """The order of the columns of `sensitivity_cells`: layer, binarised, released, OPs."""
    words = ("layer", "binarised", "released", "OPs")
    return next(place for place, word in enumerate(words) if word in column)


def trust_cells(trust: pd.DataFrame) -> pd.DataFrame:
    """The table of `ir2search.measures.trust` as text."""
    rows = [
        {
            "method": row["method"].replace("_", " "),
            "trusted": "yes" if row["trusted"] else "no",
            "faithfulness (above a random order)": text.number(row["faithfulness"]),
            "similarity after shuffling": text.number(row["similarity"]),
        }
        for row in json_rows(trust)
    ]
    return pd.DataFrame(rows)


def importance_cells(
    importances: Sequence[Mapping[str, Any]], labels: Mapping[str, str]
) -> pd.DataFrame:
    """The ``share`` of each ``parameter`` for each ``target``, as text; targets have labels."""
    found: dict[str, dict[str, str]] = {}
    for each in importances:
        row = found.setdefault(each["parameter"], {"parameter": each["parameter"]})
        row[f"for {labels[each['target']]}"] = text.percent(each["share"])
    return pd.DataFrame(found.values())


def comparison_cells(comparison: Comparison) -> pd.DataFrame:
    """A comparison as text, with a row for each study: means and deviations over its seeds."""
    rows = []
    for name, runs in comparison.groups.items():
        members = sorted({len(run.front) for run in runs})
        volumes = [run.hypervolume for run in runs]
        spread = f"\n± {statistics.stdev(volumes):.4f}" if len(runs) > 1 else ""
        cells = {
            "run": name,
            "front": str(members[0]) if len(members) == 1 else f"{members[0]} to {members[-1]}",
            "hypervolume": f"{statistics.mean(volumes):.4f}{spread}",
        }
        for place, limit in enumerate(comparison.limits):
            cells[f"≤ {text.count(limit)}"] = _shares([run.accuracies[place] for run in runs])
        seconds = statistics.mean(run.seconds for run in runs)
        rows.append(cells | {"training": text.duration(seconds)})
    return pd.DataFrame(rows)


def limits_text(comparison: Comparison) -> str:
    """What the columns of `comparison_cells` with a limit show; empty if there are none."""
    if not comparison.limits:
        return ""
    limit = OBJECTIVES[comparison.cost].with_unit(comparison.limits[0])
    return (
        f"≤ {text.count(comparison.limits[0])}: the best validation accuracy of a network with at "
        f"most {limit}."
    )


def coverage_cells(comparison: Comparison) -> pd.DataFrame:
    """The share of the front of each column's run that is covered by the front of the row's."""
    names = [run.name for run in comparison.runs]
    rows = [
        {"run": name} | dict(zip(names, map(text.percent, shares), strict=True))
        for name, shares in zip(names, comparison.coverages.tolist(), strict=True)
    ]
    return pd.DataFrame(rows)


def _shares(values: Sequence[float]) -> str:
    """Accuracies as one, or as mean and deviation on a line each; "-" if one is missing."""
    if any(value != value for value in values):
        return text.NOTHING
    mean = text.percent(statistics.mean(values))
    return f"{mean}\n± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean
