"""Show the trials of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ir2search import text
from ir2search.cli.show import bold, console, print_json, table
from ir2search.runs import json_rows
from ir2search.study.objectives import costs_on_request

if TYPE_CHECKING:
    import pandas as pd


KINDS: Mapping[str, Callable[[float], str]] = {
    **dict.fromkeys(("ops", "flops", "bops", "parameters", "binary_parameters"), text.count),
    **dict.fromkeys(("memory_bytes", "ram_bytes", "flash_bytes"), text.size),
    "seconds": text.duration,
}  # of columns, by what their numbers count


def show_trials(trials: pd.DataFrame, one: bool, as_json: bool) -> None:
    """Show a table of trials, or all that is known of one."""
    rows = json_rows(trials)
    if as_json:
        print_json(rows[0] if one else rows)
        return
    if one:
        shown = table(None, ("", ""), {""})
        for name, value in rows[0].items():
            if value is not None and value != [] and (name, value) != ("outcome", "trained"):
                shown.add_row(bold(name.replace("_", " ")), _shown(name, value))
        console().print(shown)
        return
    asked = costs_on_request(trials.columns)
    costs = ("OPs", "memory", *(each.name for each in asked))
    columns = ("trial", "state", "validation", "test", *costs, "epochs", "network")
    found = table(None, columns, {"state", "network"})
    for row in rows:
        found.add_row(
            str(row["number"]), row["state"], text.percent(row["accuracy"]),
            text.percent(row["test_accuracy"]), text.count(row["ops"]),
            text.size(row["memory_bytes"]),
            *(text.NOTHING if (value := row[each.column]) is None else each.with_unit(value)
              for each in asked),
            str(row["epochs"]),
            text.network(row) if row["state"] == "trained" else row["outcome"] or "",
        )  # fmt: skip
    console().print(found)


def _shown(name: str, value: Any) -> str:
    """A value of a table of trials as text."""
    if isinstance(value, list):
        return text.names(_shown(name, each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith(("accuracy", "accuracies")):
        return text.percent(value)
    if name in KINDS:
        return KINDS[name](value)
    return f"{value:g}" if isinstance(value, float) else str(value)
