"""Commands on the runs that one has."""

from __future__ import annotations

from ir2search.cli.options import RUNS, Json, Runs, Verbose


def runs(folder: Runs = RUNS, as_json: Json = False, verbose: Verbose = False) -> None:
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
