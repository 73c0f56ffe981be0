from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ir2search.report.paper import write_tables
from ir2search.report.tables import ReportData, report_data
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
    assert "    " + " ".join(data.sessions[0]["command"]) in page


def test_csv_and_parquet_have_the_same_rows(data: ReportData, tmp_path: Path) -> None:
    write_tables(data, tmp_path)
    for name in ("trials", "front"):
        rows = pd.read_csv(tmp_path / f"{name}.csv")
        parquet = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert rows["number"].tolist() == parquet["number"].tolist()
