"""Show the trials of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ir2search import text
from ir2search.cli.show import bold, console, print_json, table
from ir2search.runs import json_rows

if TYPE_CHECKING:
    import pandas as pd


def show_trials(trials: pd.DataFrame, one: bool, as_json: bool) -> None:
    """Show a table of trials, or all that is known of one."""
    rows = json_rows(trials)
    if as_json:
        print_json(rows[0] if one else rows)
        return
    if one:
        shown = table(None, ("", ""), {""})
        for name, value in rows[0].items():
            if value is not None and value != []:
                shown.add_row(bold(name), str(value))
        console().print(shown)
        return
    columns = ("trial", "state", "validation", "test", "OPs", "memory", "epochs", "network")
    found = table(None, columns, {"state", "network"})
    for row in rows:
        found.add_row(
            str(row["number"]), row["state"], text.percent(row["accuracy"]),
            text.percent(row["test_accuracy"]), text.count(row["ops"]),
            text.size(row["memory_bytes"]), str(row["epochs"]), row["outcome"] or text.network(row),
        )  # fmt: skip
    console().print(found)
