"""Tables as text, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ir2search import text
from ir2search.runs import json_rows
from ir2search.space import TAP


def shown_name(parameter: str) -> str:
    """The name of a searched parameter for the reader of a report."""
    if parameter == "fusion_ratio":
        return "fusion width m"
    tap = parameter.removeprefix(TAP)
    return f"tap {tap}" if tap != parameter else parameter.replace("_", " ")


def information_cells(layers: pd.DataFrame) -> pd.DataFrame:
    """The table of `ir2search.measures.layers_table` as text."""
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
    return pd.DataFrame(rows)


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


def comparison_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `comparison_table` as text."""
    rows = [
        {
            "run": row["run"],
            "members": str(row["members"]),
            "best accuracy": text.percent(row["best_accuracy"]),
            "hypervolume": f"{row['hypervolume']:.4f}",
            "share of the other front covered": text.percent(row["covers_of_the_other"]),
        }
        for row in json_rows(table)
    ]
    return pd.DataFrame(rows)
