"""Tables for papers and repositories, as CSV, parquet, LaTeX and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ir2search import escape, text
from ir2search.files import replacing, write_text
from ir2search.report.data import ReportData
from ir2search.report.picks import (
    accuracy_cell,
    budget_rows,
    images_text,
    shared_weights_text,
)
from ir2search.runs import json_rows
from ir2search.study.objectives import costs_on_request


def write_tables(data: ReportData, target: Path) -> None:
    """Write the tables ``trials`` and ``front`` in every format, and ``report.md``, to a folder."""
    for name, table in (("trials", data.trials), ("front", data.front)):
        with replacing(target / f"{name}.parquet") as partial:
            table.to_parquet(partial, index=False)
        write_text(target / f"{name}.csv", escape.csv_table(table))
    write_text(target / "front.tex", _latex(data.front))
    write_text(target / "report.md", _markdown(data))


def _table(front: pd.DataFrame) -> pd.DataFrame:
    """The front as text."""
    rows = json_rows(front)
    columns = {"trial": [str(row["number"]) for row in rows]}
    if "how" in front:
        columns["weights"] = [str(row["how"]) for row in rows]
    columns |= {
        "validation": [accuracy_cell(row, "accuracy") for row in rows],
        "test": [accuracy_cell(row, "test_accuracy") for row in rows],
        "OPs": [text.count(row["ops"]) for row in rows],
        "memory": [text.size(row["memory_bytes"]) for row in rows],
    }
    for cost in costs_on_request(front.columns):
        columns[cost.name] = [cost.with_unit(row[cost.column]) for row in rows]
    return pd.DataFrame(columns | {"network": [text.network(row) for row in rows]}, dtype=str)


def _latex(front: pd.DataFrame) -> str:
    """The front as a LaTeX table for the package booktabs."""
    table = _table(front).map(escape.latex)
    aligned = "r" * (len(table.columns) - 1) + "l"
    return table.style.hide(axis="index").to_latex(hrules=True, column_format=aligned)


def _markdown(data: ReportData) -> str:
    study = data.study
    counts = data.trials["state"].value_counts()
    epochs = int(data.trials["epochs"].sum()) + len(data.extra_epochs)
    parts = [
        f"# {escape.markdown(study.name)}",
        f"{counts.get('trained', 0)} candidates {data.verb}, {text.counted(epochs, 'epoch')}; "
        f"objectives: {', '.join(map(escape.markdown, study.objectives))}; "
        f"sampler {escape.markdown(study.sampler)}, seed {study.seed}.",
        "![accuracy against costs](figures/front.png)",
    ]
    if rows := budget_rows(data.front, study):
        names = ("budget", "trial", "validation", "test", "cost", "not told apart from")
        cells = [list(row.values()) for row in rows]
        parts += ["## Best network for each budget", _pipes(names, cells)]
    if len(data.front):
        table = _table(data.front)
        images = images_text(data.front)
        table = table.rename(columns=lambda name: name + images.get(name, ""))
        parts += ["## Front", _pipes(list(table.columns), table.to_numpy().tolist())]
        parts += ["95% intervals of accuracies are in brackets.", *data.advice]
        parts += filter(None, [shared_weights_text(data)])
    commands = dict.fromkeys(
        escape.one_line(" ".join(session.command)) for session in data.sessions
    )
    parts += ["## How to repeat this run", *(f"    {command}" for command in commands)]
    return "\n\n".join(parts) + "\n"


def _pipes(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[escape.markdown(cell) for cell in row] for row in (columns, *rows)]
    cells.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
