from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from ir2search.report.data import ReportData, report_data
from ir2search.report.paper import write_tables
from ir2search.runs import Run


@pytest.fixture(scope="module")
def data(finished_run: Path) -> ReportData:
    return report_data(Run.open(finished_run))


def test_the_latex_table_has_a_row_for_each_member_of_the_front(
    data: ReportData, tmp_path: Path
) -> None:
    write_tables(data, tmp_path)
    latex = (tmp_path / "front.tex").read_text()
    assert latex.count(r"\\") == 1 + len(data.front)
    assert f"{data.front['accuracy'].iloc[0]:.1%}".replace("%", r"\%") in latex


def test_the_markdown_page_has_the_front_and_the_commands(data: ReportData, tmp_path: Path) -> None:
    write_tables(data, tmp_path)
    page = (tmp_path / "report.md").read_text()
    for number in data.front["number"]:
        assert f"\n| {number} | " in page
    assert "    " + " ".join(data.sessions[0].command) in page


def test_the_tables_have_each_cost_that_the_study_asked_for(
    data: ReportData, tmp_path: Path
) -> None:
    front = data.front.assign(latency_ms=0.125, flash_bytes=16_592)
    write_tables(replace(data, front=front), tmp_path)
    for name in ("report.md", "front.tex"):
        written = (tmp_path / name).read_text()
        assert written.count("0.125 ms") == written.count("16.6 kB") == len(front)


def test_csv_and_parquet_have_the_same_rows(data: ReportData, tmp_path: Path) -> None:
    write_tables(data, tmp_path)
    for name in ("trials", "front"):
        rows = pd.read_csv(tmp_path / f"{name}.csv")
        parquet = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert rows["number"].tolist() == parquet["number"].tolist()


HOSTILE = "=cmd|[x](http://evil.example) <script> | \\write18{id} $x$ & # \x1b[31m\n\n# head"


@pytest.fixture
def hostile(data: ReportData) -> ReportData:
    """Data of which every text that a run's folder can change is hostile."""
    front, trials = (table.assign(fusion=HOSTILE) for table in (data.front, data.trials))
    front["taps"] = [[HOSTILE]] * len(front)
    sessions = [replace(data.sessions[0], command=["ir2search", HOSTILE])]
    return replace(data, front=front, trials=trials, sessions=sessions)


def test_hostile_texts_bring_no_command_into_latex(hostile: ReportData, tmp_path: Path) -> None:
    write_tables(hostile, tmp_path)
    latex = (tmp_path / "front.tex").read_text()
    commands = set(re.findall(r"\\([a-zA-Z]+)", latex))
    assert commands <= {
        "begin", "end", "toprule", "midrule", "bottomrule", "pm",
        "textbackslash", "textless", "textgreater", "textbar",
    }  # fmt: skip
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_hostile_texts_bring_no_markup_into_markdown(
    data: ReportData, hostile: ReportData, tmp_path: Path
) -> None:
    kinds = []
    for each in (data, hostile):
        write_tables(each, tmp_path)
        page = (tmp_path / "report.md").read_text()
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page)
        kinds.append([token.type for token in tokens])
        inline = {child.type for token in tokens for child in token.children or ()}
        assert inline <= {"text", "image", "softbreak"}
    assert kinds[0] == kinds[1]


def test_hostile_texts_are_no_formulas_in_csv(hostile: ReportData, tmp_path: Path) -> None:
    write_tables(hostile, tmp_path)
    for name in ("trials", "front"):
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert table["fusion"].str.startswith("'=cmd").all()
        assert len(table) == len(getattr(hostile, name))
