"""Names of runs: the folder of all runs, and a run in it by its name."""

from __future__ import annotations

import os
from pathlib import Path

from ir2search.runs.layout import STUDY_FILE

RUNS_VARIABLE = "IR2SEARCH_RUNS"  # environment variable with the folder of all runs
RUNS = "runs"  # that folder, if the variable is not set


def runs_folder() -> Path:
    """The folder of all runs: the variable ``IR2SEARCH_RUNS``, or else ``runs``."""
    return Path(os.environ.get(RUNS_VARIABLE) or RUNS)


def find_run(given: str | Path, runs: Path | None = None) -> Path:
    """The folder of a run that is given by its folder or by its name.

    Args:
        given: a folder with a run, or the name of a run such as ``digits``.
        runs: the folder of all runs; by default `runs_folder`.

    Returns:
        ``given`` if it has a run, else the run of this name in ``runs``. If neither exists,
        ``given``, which then cannot be opened.
    """
    path = Path(given)
    named = (runs_folder() if runs is None else runs) / path
    is_named = not (path / STUDY_FILE).is_file() and (named / STUDY_FILE).is_file()
    return named if is_named else path
