"""Tables for papers and repositories: CSV, parquet, LaTeX and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ir2search import text
from ir2search.files import write_text
from ir2search.report.tables import ReportData
from ir2search.runs import json_rows


def write_tables(data: ReportData, answers: Sequence[dict[str, str]], target: Path) -> None:
    """Write ``trials`` and ``front`` in every form, and ``report.md``.

    Args:
        data: of the report.
        answers: what to take for which budget, see `ir2search.report.view.answer`.
        target: the folder of the report.
    """
    for name, table in (("trials", data.trials), ("front", data.front)):
        table.to_parquet(target / f"{name}.parquet", index=False)
        write_text(target / f"{name}.csv", table.to_csv(index=False))
    write_text(target / "front.tex", _latex(data.front))
    write_text(target / "report.md", _markdown(data, answers))


def _table(front: pd.DataFrame) -> pd.DataFrame:
    """The front in words."""
    rows = json_rows(front)
    columns = {
        "trial": [str(row["number"]) for row in rows],
        "validation": [_share(row["accuracy"], row["seed_accuracies"]) for row in rows],
        "test": [_share(row["test_accuracy"], row["seed_test_accuracies"]) for row in rows],
        "OPs": [text.count(row["ops"]) for row in rows],
        "memory": [text.size(row["memory_bytes"]) for row in rows],
    }
    if "latency_ms" in front:
        columns["latency"] = [text.milliseconds(row["latency_ms"]) for row in rows]
    return pd.DataFrame(columns | {"network": [text.network(row) for row in rows]}, dtype=str)


def _share(own: float | None, seeds: Sequence[float]) -> str:
    return text.spread(seeds) if len(seeds) > 1 else text.percent(own)


def _latex(front: pd.DataFrame) -> str:
    """The front as a table of the package booktabs."""
    table = _table(front).map(_escaped)
    aligned = "r" * (len(table.columns) - 1) + "l"
    return table.style.hide(axis="index").to_latex(hrules=True, column_format=aligned)


def _escaped(cell: str) -> str:
    return cell.replace("%", r"\%").replace("±", r"$\pm$").replace("_", r"\_")


def _markdown(data: ReportData, answers: Sequence[dict[str, str]]) -> str:
    study = data.study
    counts = data.trials["state"].value_counts()
    parts = [
        f"# {study.name}",
        f"{counts.get('trained', 0)} candidates trained, {int(data.trials['epochs'].sum()):,} "
        f"epochs; objectives: {', '.join(study.objectives)}; sampler {study.sampler}, "
        f"seed {study.seed}.",
        "![accuracy against costs](figures/front.png)",
    ]
    if answers:
        names = ("budget", "number", "accuracy", "test", "cost")
        rows = [[row[name] for name in names] for row in answers]
        parts += [
            "## What to take for which budget",
            _pipes(("under", "trial", "validation", "test", "costs"), rows),
        ]
    if len(data.front):
        table = _table(data.front)
        parts += ["## Front", _pipes(list(table.columns), table.to_numpy().tolist())]
    commands = dict.fromkeys(_command(session) for session in data.environment)
    parts += ["## To make it again", *(f"    {command}" for command in commands)]
    return "\n\n".join(parts) + "\n"


def _pipes(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _command(session: dict[str, Any]) -> str:
    return " ".join(session["command"])
