"""Open the page of a run in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from ir2search.report.page import write_report
from ir2search.runs import Run
from ir2search.runs.layout import REPORT, TRIALS
from ir2search.runs.listing import last_change
from ir2search.trust import trusts_page


def open_page(run: Run | str | Path) -> Path:
    """Open the page of a run in the browser, and return its path.

    The report is written first if the page is missing, is older than the last change of the run, or
    was changed elsewhere: such a page could run any script. Without a browser, only the path is
    returned.

    Raises:
        RunError: there is no run, or it has no trial yet.
        MissingExtraError: the page must be written, and plotly or jinja2 is not installed.
    """
    run = Run.of(run)
    page = run.folder / REPORT / "index.html"
    if not trusts_page(page) or page.stat().st_mtime < _last_result(run.folder):
        write_report(run)
    webbrowser.open(page.resolve().as_uri())
    return page


def _last_result(folder: Path) -> float:
    """When the run in a folder or a file of one of its trials last changed, in seconds."""
    files = (folder / TRIALS).rglob("*")
    return max([last_change(folder).timestamp(), *(file.stat().st_mtime for file in files)])
