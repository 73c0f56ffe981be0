"""Show studies and runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ir2search import text
from ir2search.cli.show import bold, console, line, print_json, say, table
from ir2search.errors import IR2SearchError

if TYPE_CHECKING:
    import pandas as pd

    from ir2search.report import Comparison
    from ir2search.runs import Run, RunStatus, RunSummary
    from ir2search.runs.running import RunningTraining
    from ir2search.search import Estimate
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
            f"{reason}; solve that and run again with --retry-failed"
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


def show_comparison(comparison: Comparison, page: Path | None, as_json: bool) -> None:
    """Show a comparison of runs, and where its page is."""
    from ir2search.report.cells import comparison_cells, limits_text

    if as_json:
        print_json(comparison.as_dict() | {"page": None if page is None else str(page)})
        return
    cells = comparison_cells(comparison)
    found = table(None, cells.columns.tolist(), words={"run"})
    for name, *values in cells.itertuples(index=False):
        found.add_row(name, *map(Text, values))
    console().print(found)
    for sentence in (limits_text(comparison), *comparison.warnings):
        if sentence:
            say(sentence)
    if page is not None:
        say("page: ", str(page))


def show_estimate(found: Estimate, as_json: bool) -> None:
    """Show what a study will take."""
    if as_json:
        print_json(found.as_dict())
        return
    shown = table(None, ("", ""), {""})
    for name, value in _estimated(found):
        shown.add_row(bold(name), value)
    console().print(shown)


def show_studies(surveys: Sequence[StudySurvey], as_json: bool) -> None:
    """Show the included studies, and what each one needs."""
    if as_json:
        print_json([asdict(survey) | {"file": str(survey.file)} for survey in surveys])
        return
    words = {"study", "purpose", "data"}
    counted = any(survey.least_ops is not None for survey in surveys)
    columns = ("study", "trials", "epochs", *(("OPs",) if counted else ()), "data", "purpose")
    found = table(None, columns, words)
    for survey in surveys:
        counts = [str(survey.trials), f"{survey.epochs:,}"]
        if counted:
            counts += [f"{text.count(survey.least_ops)} to {text.count(survey.most_ops)}"]
        found.add_row(survey.name, *counts, survey.data, survey.purpose)
    console().print(found)


def show_listing(runs: Sequence[RunSummary], folder: Path, as_json: bool) -> None:
    """Show all runs in a folder."""
    if as_json:
        print_json([each.as_dict() for each in runs])
        return
    if not runs:
        say(f"{folder}: no runs yet; start one with `ir2search run digits`")
        return
    found = table(None, ("run", "study", "trained", "front", "best", "changed"), {"run", "study"})
    for each in runs:
        name, when = each.name, each.changed.strftime("%Y-%m-%d %H:%M")
        if each.problem is None:
            counts = (f"{each.trained} of {each.asked}", str(each.front), text.percent(each.best))
            found.add_row(name, each.study or "", *counts, when)
        else:
            found.add_row(name, "cannot be read", "", "", "", when)
    console().print(found)
    for each in runs:
        if each.problem is not None:
            say(each.problem)


def _estimated(found: Estimate) -> Iterator[tuple[str, str]]:
    """The lines of an estimate: a name and a sentence each."""
    from ir2search.study.objectives import OBJECTIVES

    size = f"{found.combinations:,.0f}" if isfinite(found.combinations) else "infinitely many"
    yield "space", f"{size} combinations of values"
    low, high = (text.percent(end) for end in found.interval)
    share, within = text.percent(found.within), " within the budget" if found.has_budget else ""
    if found.is_exact:
        yield "networks", f"{share} of them give {found.networks:,} different networks{within}"
    else:
        of = f"{share} ({low} to {high}) of {found.counted:,} random ones"
        yield "networks", f"{of} give networks{within}"
    for each in found.costs:
        least, median, most = (OBJECTIVES[each.name].with_unit(v) for v in each.ends)
        yield each.name, f"{least} to {most}, median {median}"
    yield "step", f"{1000 * found.step_seconds:.0f} ms for a network with the median OPs"
    yield "epoch", f"{text.duration(found.epoch_seconds)} for this network, with validation"
    less = f"about {found.expected_epochs:,}, of " if found.expected_epochs < found.epochs else ""
    if found.measurement_seconds is None:
        yield "epochs", f"{less}{found.epochs:,} of {found.trials:,} candidates"
    else:
        duration = text.duration(found.measurement_seconds)
        yield "epochs", f"{found.epochs:,} of the shared weights"
        yield "search", f"{found.trials:,} candidates measured with them, about {duration} each"
    together = f"{found.workers} at a time" if found.workers > 1 else "one at a time"
    yield "time", f"about {text.duration(found.seconds)}, {together}"
    if found.confirmed_epochs:
        seconds = text.duration(found.confirmed_epochs * found.epoch_seconds / found.workers)
        per = f"{text.counted(found.confirmed_epochs, 'epoch')}, about {seconds}"
        yield "end", f"{per}, for each network that is trained further at the end"


def _status(status: RunStatus) -> Group:
    counts = {state: number for state, number in status.counts.items() if number}
    trained = counts.pop("trained", 0)
    done = "measured with shared weights" if "how" in status.front else "trained"
    parts = [f"{trained} of {status.asked} candidates {done}"]
    parts += [f"{number} {state}" for state, number in counts.items()]
    head = line(bold(status.name), " in ", str(status.folder), f": {', '.join(parts)}")
    running = [_running_table(status.running)] if status.running else []
    if not len(status.front):
        return Group(head, *running)
    notes = [line(note) for note in (_images(status.front), *status.advice) if note]
    return Group(head, *running, _front_table(status.front), *notes)


def _running_table(running: Sequence[RunningTraining]) -> Table:
    """A row for each training that is going on."""
    found = table("in training", ("trial", "epoch", "validation so far", "time left"), set())
    for each in running:
        left = text.NOTHING if each.seconds_left is None else text.time_left(each.seconds_left)
        trial = "shared weights" if each.number is None else str(each.number)
        found.add_row(
            f"{trial}, seed {each.seed}" if each.seed else trial,
            f"{each.epoch} of {each.epochs}", text.percent(each.accuracy), left,
        )  # fmt: skip
    return found


def _images(front: pd.DataFrame) -> str:
    """On how many images the accuracies of a front were measured."""
    counts = {
        name: front[f"{name}_images"].dropna().unique().tolist() for name in ("validation", "test")
    }
    known = [f"{found[0]} {name} images" for name, found in counts.items() if found]
    return f"Ranges are 95% intervals, of {' and '.join(known)}." if known else ""


def _front_table(front: pd.DataFrame) -> Table:
    from ir2search.runs import json_rows
    from ir2search.study.objectives import costs_on_request

    rows = json_rows(front)
    confirmed = any(len(row["seed_accuracies"]) > 1 for row in rows)
    columns: dict[str, list[str | Text]] = {"trial": [str(row["number"]) for row in rows]}
    if "how" in front:
        columns["weights"] = [row["how"] for row in rows]
    columns["validation"] = [_share(row, "accuracy") for row in rows]
    if "how" in front and set(front["how"]) != {"inherited"}:
        columns["inherited"] = [text.percent(row["inherited_accuracy"]) for row in rows]
    if confirmed:
        columns["validation, seeds"] = [text.spread(row["seed_accuracies"]) for row in rows]
    columns["test"] = [_share(row, "test_accuracy") for row in rows]
    if confirmed:
        columns["test, seeds"] = [text.spread(row["seed_test_accuracies"]) for row in rows]
    columns["OPs"] = [text.count(row["ops"]) for row in rows]
    columns["memory"] = [text.size(row["memory_bytes"]) for row in rows]
    for cost in costs_on_request(front.columns):
        columns[cost.name] = [cost.with_unit(row[cost.column]) for row in rows]
    columns["network"] = [text.network(row) for row in rows]
    found = table("front", tuple(columns), words={"weights", "network"})
    for cells in zip(*columns.values(), strict=True):
        found.add_row(*cells)
    return found


def _share(row: Mapping[str, Any], name: str) -> Text:
    """An accuracy, and its interval below it."""
    interval = text.interval(row[f"{name}_low"], row[f"{name}_high"])
    return Text.assemble(text.percent(row[name]), *([f"\n{interval}"] if interval else []))
