"""Tables as text, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ir2search import text
from ir2search.runs import json_rows


def information_cells(layers: pd.DataFrame) -> pd.DataFrame:
    """The table of `ir2search.information.layers_table` as text."""
    rows = [
        {
            "layer": row["layer"],
            "information (bits)": text.number(row["information"]),
            "in the twin": text.number(row["twin_information"]),
            "without recovery": text.number(row["plain_information"]),
            "lost in the layer": text.difference(row["loss"], row["loss_low"], row["loss_high"]),
            "sign entropy": text.number(row["sign_entropy"]),
            "attention similarity to the twin": text.number(row["attention_similarity"]),
            "CKA": text.number(row["cka"]),
        }
        for row in json_rows(layers)
    ]
    return pd.DataFrame(rows)


def trust_cells(trust: pd.DataFrame) -> pd.DataFrame:
    """The table of `ir2search.information.trust` as text."""
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
