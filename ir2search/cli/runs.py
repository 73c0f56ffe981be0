"""Commands that list, show and open runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ir2search import escape
from ir2search.cli.options import (
    RUNS,
    Folder,
    Folders,
    Json,
    Runs,
    SavedStorage,
    Trust,
    opened,
)


def runs(folder: Runs = RUNS, as_json: Json = False) -> None:
    """List all runs in a folder, the last changed one first.

    Each run has its study, the number of trained candidates of those asked for, the size of its
    front, its best validation accuracy, and when it last changed (UTC). Every command that takes
    RUN takes the name of a run in this list.

    \b
    Examples:
      ir2search runs
      ir2search runs --runs /scratch/runs
      ir2search runs --json | jq -r '.[0].folder'
    """
    from ir2search.cli.show_runs import show_listing
    from ir2search.runs import list_runs

    show_listing(list_runs(folder), folder, as_json)


def show(
    folder: Folder,
    trial: Annotated[
        str | None, typer.Argument(metavar="TRIAL", help="best, knee, or a trial's number.")
    ] = None,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show all trials of a run, or all that is known of one trial.

    \b
    Examples:
      ir2search show digits
      ir2search show digits knee
      ir2search show digits 4 --json
    """
    from ir2search.cli.show_trials import show_trials
    from ir2search.runs import Run

    trials = Run.of(opened(folder, storage)).chosen(trial)
    show_trials(trials, trial is not None, as_json)


def open(  # noqa: A001 - the command's name
    folder: Folder,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Open the page of a run's report in the browser, and print its path.

    The report is written first if it is missing or older than the run's last change.

    \b
    Examples:
      ir2search open digits
    """
    from ir2search.report import open_page

    page = str(open_page(opened(folder, storage)))
    typer.echo(json.dumps({"page": page}) if as_json else escape.terminal(page))


def compare(
    folders: Folders,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write: a page, its figure and a table; by default none."),
    ] = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compare the fronts of two or more runs, with a warning where that is not fair.

    Shows for each run the size of the front, its hypervolume with one reference point for all,
    the best validation accuracy at equal costs, and the time of its trainings. Runs of one study
    with different seeds share a row, with mean and standard deviation.

    \b
    Examples:
      ir2search compare digits digits-random
      ir2search compare digits digits-seed-1 digits-seed-2 digits-random --out comparison
    """
    from ir2search.cli.show_runs import show_comparison
    from ir2search.report import compare as compared
    from ir2search.report import write_comparison
    from ir2search.runs import Run

    runs = [Run.of(folder) for folder in folders]
    found = compared(*runs)
    page = None if out is None else write_comparison(*runs, folder=out)
    show_comparison(found, page, as_json)
