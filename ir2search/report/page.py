"""`write_report`: a run's tables, figures and page; `write_comparison`: two runs' fronts."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ir2search import text
from ir2search.extras import require
from ir2search.files import write_text
from ir2search.information import trust
from ir2search.information.figures import FIGURES as ANALYSIS
from ir2search.plots.saving import save_widths
from ir2search.report.comparison import compare, comparison_table
from ir2search.report.figures import FIGURES, fronts_figure
from ir2search.report.paper import write_tables
from ir2search.report.tables import ReportData, report_data
from ir2search.report.view import answer, comparison_view, page_view
from ir2search.runs import json_rows, trials
from ir2search.runs.backbones import backbone_curves
from ir2search.runs.layout import STUDY_FILE, trial_folder
from ir2search.runs.saved import saved_study

TEMPLATES = Path(__file__).with_name("templates")
EXTRA = "report"  # installs plotly and jinja2
ERROR_FILE = "error.txt"  # in a trial's folder: the traceback of its failure
LABELS = {"accuracy": "accuracy", "ops": "OPs"}


def write_report(folder: str | Path) -> Path:
    """Write ``report/`` in a run's folder: page, tables, figures.

    Files: ``index.html`` (one file, needs no network), ``report.md``, ``trials`` as parquet and
    CSV, ``front`` as CSV, parquet and LaTeX (booktabs), and in ``figures`` each figure for one and
    for two columns of a paper as PNG, SVG and PDF.

    Returns:
        The page.

    Raises:
        RunError: there is no run, or it has no trial yet.
    """
    folder = Path(folder)
    require("plotly", extra=EXTRA)
    require("jinja2", extra=EXTRA)
    study = saved_study(folder)
    data = report_data(folder, study, trials(folder))
    target = folder / "report"
    target.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        save_widths(functools.partial(draw, data), target / "figures" / name)
    answers = answer(data)
    write_tables(data, answers, target)
    page = target / "index.html"
    write_text(page, _render(data, answers, folder, target / "figures"))
    return page


def write_comparison(one: str | Path, other: str | Path) -> Path:
    """Write how the fronts of two runs compare into the first one's ``report/``.

    Files: ``compare-NAME.html``, ``.csv`` and the figure as PNG, SVG and PDF, NAME the other
    run's folder.

    Returns:
        The page.

    Raises:
        RunError: see `compare`.
    """
    found = compare(one, other)
    target = Path(one) / "report"
    name = f"compare-{Path(other).resolve().name}"
    save_widths(functools.partial(fronts_figure, found), target / "figures" / name)
    table = comparison_table(found)
    write_text(target / f"{name}.csv", table.to_csv(index=False))
    values = {
        "names": found.names,
        "ratio": found.ratio,
        "coverages": found.coverages,
        "reference": found.reference,
        "rows": json_rows(table),
        "svg": _inline_svg(target / "figures" / f"{name}.svg"),
    }
    page = target / f"{name}.html"
    write_text(page, _page("comparison.html.j2", values, comparison_view(found)))
    return page


def _render(data: ReportData, answers: list[dict[str, str]], folder: Path, figures: Path) -> str:
    states = data.trials["state"].value_counts()
    not_trained = data.trials[data.trials["state"].isin(["failed", "turned down"])]
    curves = backbone_curves(folder)
    shared = [row for curve in curves for row in curve]
    view = page_view(data, folder)
    values = {
        "study": data.study,
        "objectives": ", ".join(data.study.objectives),
        "counts": {str(name): int(count) for name, count in states.items()},
        "front": json_rows(data.front),
        "answers": answers,
        "last": int(data.trials["number"].max()),
        "confirmed": any(len(values) > 1 for values in data.front["seed_accuracies"]),
        "hidden_curves": int((data.trials["epochs"] > 0).sum()) - len(view["curves"]),
        "parameters": view["parameters"],
        "importances": _importances(view["parameters"]["importances"]),
        "labels": LABELS,
        "not_trained": [
            row | {"error_file": _error_file(folder, row["number"])}
            for row in json_rows(not_trained)
        ],
        "svg": {name: _inline_svg(figures / f"{name}.svg") for name in FIGURES},
        "analyses": _analyses(folder),
        "environment": data.environment,
        "study_text": (folder / STUDY_FILE).read_text(encoding="utf-8"),
        "backbones": len(curves),
        "epochs": int(data.trials["epochs"].sum()) + len(shared),
        "seconds": float(data.trials["seconds"].sum()) + sum(row.seconds for row in shared),
    }
    return _page("page.html.j2", values, view)


def _page(template: str, values: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """The text of a page, with its style, its script, plotly.js and the values of the script."""
    jinja2 = require("jinja2", extra=EXTRA)
    markup = require("markupsafe", extra=EXTRA).Markup
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ir2search.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
    )
    environment.filters |= {
        "percent": text.percent,
        "spread": text.spread,
        "count": text.count,
        "size": text.size,
        "milliseconds": text.milliseconds,
        "names": text.names,
        "number": text.number,
        "difference": text.difference,
    }
    # only a "<" can end a script element
    embedded = json.dumps(view, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template(template).render(
        css=markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
        plotly=_packed_plotly(),
        view=markup(embedded),
        **values,
    )


@functools.cache
def _packed_plotly() -> str:
    """plotly.js in gzip and base64, 2 MB in place of 5; the browser unpacks it."""
    offline = require("plotly.offline", extra=EXTRA)
    packed = gzip.compress(offline.get_plotlyjs().encode(), mtime=0)
    return base64.b64encode(packed).decode()


def _importances(importances: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The shares of each parameter, one for each target."""
    found: dict[str, list[float]] = {}
    for each in importances:
        found.setdefault(each["parameter"], []).append(each["share"])
    return found


def _error_file(folder: Path, number: int) -> str:
    """The traceback of a failed trial, relative to the run's folder; empty if there is none."""
    file = trial_folder(folder, number) / ERROR_FILE
    return file.relative_to(folder).as_posix() if file.exists() else ""


def _analyses(folder: Path) -> list[dict[str, Any]]:
    """The analysed trials' figures."""
    return [
        {
            "number": file.parent.parent.name,
            "svg": {name: _inline_svg(file.with_name(f"{name}.svg")) for name in ANALYSIS},
            "layers": json_rows(pd.read_csv(file.with_name("layers.csv"))),
            "trust": json_rows(trust(pd.read_parquet(file.with_name("information.parquet")))),
        }
        for file in sorted((folder / "trials").glob("*/information/layers.csv"))
    ]


def _inline_svg(file: Path) -> Any:
    """The figure as HTML markup, without its XML prologue. Matplotlib has escaped its texts."""
    text = file.read_text(encoding="utf-8")
    prefix = file.parent.parent.name + file.stem
    text = text[text.index("<svg") :]
    # ids are unique in a file, and must be unique in the page
    text = text.replace('id="', f'id="{prefix}-').replace('="#', f'="#{prefix}-')
    text = text.replace("url(#", f"url(#{prefix}-")
    return require("markupsafe", extra=EXTRA).Markup(text)
