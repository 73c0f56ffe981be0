"""`write_report`: a run's tables, figures and page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ir2search import text
from ir2search.files import write_text
from ir2search.information import trust
from ir2search.report.figures import curves_figure, front_figure, hypervolume_figure, save
from ir2search.report.information_figures import FIGURES as ANALYSIS
from ir2search.report.tables import ReportData, report_data
from ir2search.search import records, trials
from ir2search.search.folder import STUDY_FILE, saved_study
from ir2search.search.warm_start import backbone_curves

FIGURES = {
    "front": front_figure,
    "hypervolume": hypervolume_figure,
    "curves": curves_figure,
}


def write_report(folder: str | Path) -> Path:
    """Write ``report/`` in a run's folder: page, tables, figures.

    Files: ``index.html`` (one file, needs no network), ``trials.parquet``, ``front.csv``,
    ``figures/*.png`` and ``*.svg``.

    Returns:
        The page.

    Raises:
        RunError: there is no run, or it has no trial yet.
    """
    folder = Path(folder)
    study = saved_study(folder)
    data = report_data(folder, study, trials(folder))
    target = folder / "report"
    target.mkdir(exist_ok=True)
    data.trials.to_parquet(target / "trials.parquet", index=False)
    write_text(target / "front.csv", data.front.to_csv(index=False))
    for name, draw in FIGURES.items():
        save(lambda draw=draw: draw(data), target / "figures" / name)  # type: ignore[misc]
    page = target / "index.html"
    write_text(page, _render(data, folder, target / "figures"))
    return page


def _render(data: ReportData, folder: Path, figures: Path) -> str:
    environment = Environment(
        loader=PackageLoader("ir2search.report"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "percent": text.percent,
        "spread": text.spread,
        "count": text.count,
        "size": text.size,
        "names": text.names,
        "number": text.number,
        "difference": text.difference,
    }
    states = data.trials["state"].value_counts()
    not_trained = data.trials[data.trials["state"].isin(["failed", "turned down"])]
    curves = backbone_curves(folder)
    shared = [row for curve in curves for row in curve]
    return environment.get_template("page.html.j2").render(
        study=data.study,
        objectives=", ".join(data.study.objectives),
        counts={str(name): int(count) for name, count in states.items()},
        front=records(data.front),
        confirmed=any(len(values) > 1 for values in data.front["seed_accuracies"]),
        not_trained=records(not_trained),
        svg={name: _inline_svg(figures / f"{name}.svg") for name in FIGURES},
        analyses=_analyses(folder),
        environment=data.environment,
        study_text=(folder / STUDY_FILE).read_text(encoding="utf-8"),
        backbones=len(curves),
        epochs=int(data.trials["epochs"].sum()) + len(shared),
        seconds=float(data.trials["seconds"].sum()) + sum(row.seconds for row in shared),
    )


def _analyses(folder: Path) -> list[dict[str, Any]]:
    """The analysed trials' figures."""
    return [
        {
            "number": file.parent.parent.name,
            "svg": {name: _inline_svg(file.with_name(f"{name}.svg")) for name in ANALYSIS},
            "layers": records(pd.read_csv(file.with_name("layers.csv"))),
            "trust": records(trust(pd.read_parquet(file.with_name("information.parquet")))),
        }
        for file in sorted((folder / "trials").glob("*/information/layers.csv"))
    ]


def _inline_svg(file: Path) -> Markup:
    """The figure without its XML prologue, safe to set into HTML: matplotlib escapes its texts."""
    text = file.read_text(encoding="utf-8")
    prefix = file.parent.parent.name + file.stem
    text = text[text.index("<svg") :]
    # ids are unique in a file, and have to be in the page
    text = text.replace('id="', f'id="{prefix}-').replace('="#', f'="#{prefix}-')
    text = text.replace("url(#", f"url(#{prefix}-")
    return Markup(text)
