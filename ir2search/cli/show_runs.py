"""Show studies and runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table

from ir2search import text
from ir2search.cli.show import bold, console, line, print_json, table
from ir2search.errors import IR2SearchError

if TYPE_CHECKING:
    import pandas as pd

    from ir2search.runs import Run, RunStatus
    from ir2search.study.survey import StudySurvey


def show_status(status: RunStatus, as_json: bool) -> None:
    """Show the number of trials in each state, and the front."""
    if as_json:
        print_json(status.as_dict())
    else:
        console().print(_status(status))


def check_trained(status: RunStatus) -> None:
    """Raise IR2SearchError with the latest reason if all trainings of a run have failed."""
    if status.all_failed:
        number, reason = max(status.failures.items())
        raise IR2SearchError(
            f"{status.folder}: all {len(status.failures)} trainings failed; trial {number}: "
            f"{reason}; mend that and run again with --retry-failed"
        )


def watch_status(run: Run | str | Path, as_json: bool) -> None:
    """Show the status of a run after each change, until the run has ended."""
    from rich.live import Live

    from ir2search.runs import watch

    if as_json or not sys.stdout.isatty():
        for status in watch(run):
            if as_json:
                print(json.dumps(status.as_dict()), flush=True)  # noqa: T201
            else:
                show_status(status, as_json=False)
        return
    with Live(console=console(), auto_refresh=False) as live:
        for status in watch(run):
            live.update(_status(status), refresh=True)


def show_studies(surveys: Sequence[StudySurvey], as_json: bool) -> None:
    """Show the included studies, and what each one needs."""
    if as_json:
        print_json([asdict(survey) | {"file": str(survey.file)} for survey in surveys])
        return
    words = {"study", "purpose", "data"}
    found = table(None, ("study", "trials", "epochs", "OPs", "data", "purpose"), words)
    for survey in surveys:
        ops = f"{text.count(survey.least_ops)} to {text.count(survey.most_ops)}"
        counts = (str(survey.trials), f"{survey.epochs:,}", ops)
        found.add_row(survey.name, *counts, survey.data, survey.purpose)
    console().print(found)


def _status(status: RunStatus) -> Group:
    counts = {state: number for state, number in status.counts.items() if number}
    trained = counts.pop("trained", 0)
    parts = [f"{trained} of {status.asked} candidates trained"]
    parts += [f"{number} {state}" for state, number in counts.items()]
    head = line(bold(status.name), " in ", str(status.folder), f": {', '.join(parts)}")
    return Group(head, *([_front_table(status.front)] if len(status.front) else []))


def _front_table(front: pd.DataFrame) -> Table:
    from ir2search.runs import json_rows

    rows = json_rows(front)
    confirmed = any(len(row["seed_accuracies"]) > 1 for row in rows)
    over_seeds = ("validation over seeds", "test over seeds") if confirmed else ()
    timed = ("latency",) if "latency_ms" in front else ()
    columns = ("trial", "validation", "test", *over_seeds, "OPs", "memory", *timed, "network")
    found = table("front", columns, words={"network"})
    for row in rows:
        spreads = (text.spread(row[f"seed_{name}"]) for name in ("accuracies", "test_accuracies"))
        found.add_row(
            str(row["number"]),
            text.percent(row["accuracy"]),
            text.percent(row["test_accuracy"]),
            *(spreads if confirmed else ()),
            text.count(row["ops"]),
            text.size(row["memory_bytes"]),
            *(text.milliseconds(row["latency_ms"]) for _ in timed),
            text.network(row),
        )
    return found
