"""Write the report of a run, or a page that compares two runs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ir2search import escape
from ir2search.extras import require
from ir2search.files import write_text
from ir2search.plots.saving import save_widths
from ir2search.report.about import FILES, about, commands
from ir2search.report.analyses import read_analyses
from ir2search.report.cells import (
    comparison_cells,
    coverage_cells,
    importance_cells,
    limits_text,
)
from ir2search.report.comparison import compare, comparison_table
from ir2search.report.data import ReportData, report_data
from ir2search.report.figures import FIGURES, fronts_figure
from ir2search.report.findings import LABELS, section_findings
from ir2search.report.html import EXTRA, image, render
from ir2search.report.paper import write_tables
from ir2search.report.picks import accuracy_cell, budget_rows, images_text, shared_weights_text
from ir2search.report.view import comparison_view, page_view
from ir2search.runs import Run, json_rows
from ir2search.runs.layout import REPORT
from ir2search.study.objectives import costs_on_request
from ir2search.trust import trust_page

FEWEST_IN_PARALLEL = 10  # candidates; fewer lines show nothing

logger = logging.getLogger(__name__)


def write_report(run: Run | str | Path) -> Path:
    """Write the folder ``report`` of a run: page, tables and figures. Return the page's path.

    Files: ``index.html`` (one file, works offline), ``report.md``, ``trials`` as parquet and CSV,
    ``front`` as CSV, parquet and LaTeX (booktabs), and in ``figures`` each figure for one and for
    two columns of a paper as PNG, SVG and PDF.

    Raises:
        RunError: there is no run, or it has no trial yet.
        MissingExtraError: plotly or jinja2 is not installed.
    """
    run = Run.of(run)
    require("plotly", extra=EXTRA)
    require("jinja2", extra=EXTRA)
    data = report_data(run)
    target = run.folder / REPORT
    for name, draw in FIGURES.items():
        save_widths(functools.partial(draw, data), target / "figures" / name)
    write_tables(data, target)
    view = page_view(data)
    values = _page_values(data, view["parameters"]) | {
        "images": {name: image(target / "figures" / f"{name}.svg") for name in FIGURES},
        "analyses": read_analyses(run.folder),
    }
    page = target / "index.html"
    write_text(page, render("page.html.j2", values, view))
    trust_page(page)
    logger.info("wrote %s", page)
    return page


def write_comparison(*runs: Run | str | Path, folder: str | Path) -> Path:
    """Write a comparison of the fronts of two or more runs. Return the page's path.

    Files: ``index.html`` (one file, works offline), ``comparison.csv`` with a row for each run, and
    the figure ``fronts`` for one and for two columns of a paper as PNG, SVG and PDF.

    Args:
        runs: the runs, or their folders.
        folder: the folder to write; created if it is missing.

    Raises:
        RunError: the runs cannot be compared, see `compare`.
        MissingExtraError: plotly or jinja2 is not installed.
    """
    require("plotly", extra=EXTRA)
    require("jinja2", extra=EXTRA)
    found, target = compare(*runs), Path(folder)
    figure = target / "fronts"
    save_widths(functools.partial(fronts_figure, found), figure)
    write_text(target / "comparison.csv", escape.csv_table(comparison_table(found)))
    best = max(found.runs, key=lambda run: run.hypervolume)
    values = {
        "groups": list(found.groups),
        "best": best.name,
        "volume": best.hypervolume,
        "warnings": found.warnings,
        "reference": found.reference,
        "table": comparison_cells(found),
        "limits": limits_text(found),
        "coverages": coverage_cells(found),
        "image": image(figure.with_suffix(".svg")),
    }
    page = target / "index.html"
    write_text(page, render("comparison.html.j2", values, comparison_view(found)))
    logger.info("wrote %s", page)
    return page


def _page_values(data: ReportData, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the page's template shows as text."""
    trials, sentences = data.trials, section_findings(data)
    explained = [each for each in data.effects.explained if each.is_measurable]
    not_trained = trials[trials["state"].isin(["failed", "turned down"])]
    return {
        "about": about(data),
        "accuracy_cell": accuracy_cell,
        "commands": functools.partial(commands, data.folder),
        "files": FILES,
        "findings": sentences,
        "study": data.study,
        "study_text": data.study_text,
        "objectives": ", ".join(data.study.objectives),
        # the page shows the latency with its quartiles
        "asked": [each for each in costs_on_request(data.front.columns) if each.name != "latency"],
        "counts": {str(name): int(n) for name, n in trials["state"].value_counts().items()},
        "backbones": len(data.backbones),
        "epochs": int(trials["epochs"].sum()) + len(data.extra_epochs),
        "seconds": float(trials["seconds"].sum()) + sum(each.seconds for each in data.extra_epochs),
        "verb": data.verb,
        "shared": shared_weights_text(data),
        "later": data.kinds not in ([], ["inherited"]),
        "front": json_rows(data.front),
        "advice": data.advice,
        "images_of": images_text(data.front),
        "answers": budget_rows(data.front, data.study),
        "last": int(trials["number"].max()),
        "confirmed": any(len(values) > 1 for values in data.front["seed_accuracies"]),
        "hidden_curves": int((trials["epochs"] > 0).sum()) - data.curves["number"].nunique(),
        "importances": importance_cells(parameters["importances"], LABELS),
        "labels": LABELS,
        "explained": explained,
        "targets": [each.target for each in explained],
        "has_parallel": (trials["state"] == "trained").sum() >= FEWEST_IN_PARALLEL
        and bool(sentences["candidates"]),
        "not_trained": not_trained[["number", "state", "outcome"]].set_axis(
            ["trial", "state", "reason"], axis="columns"
        ),
        "sessions": data.sessions,
    }
