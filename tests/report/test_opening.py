from __future__ import annotations

import os
import shutil
import webbrowser
from pathlib import Path

import pytest

from ir2search.report import open_page
from ir2search.trust import trust_page, trusts_page


def test_a_page_is_written_only_if_the_run_has_changed_and_then_opened(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my run"
    shutil.copytree(finished_run, folder)
    page = folder / "report" / "index.html"
    opened: list[str] = []
    written: list[Path] = []

    def write(run: object) -> None:
        page.parent.mkdir(exist_ok=True)
        page.write_text("page")
        trust_page(page)
        written.append(page)

    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr("ir2search.report.opening.write_report", write)
    assert open_page(folder) == page
    assert open_page(folder) == page
    assert len(written) == 1, "nothing has changed"
    later = page.stat().st_mtime + 10
    os.utime(folder / "study.journal", (later, later))
    open_page(folder)
    assert len(written) == 2
    later += 10
    (folder / "trials/0/information").mkdir()
    (folder / "trials/0/information/layers.csv").touch()
    os.utime(folder / "trials/0/information/layers.csv", (later, later))
    open_page(folder)
    assert len(written) == 3, "a trial was analysed"
    page.write_text("<script>alert('written by somebody else')</script>")
    os.utime(page, (later + 10, later + 10))
    open_page(folder)
    assert len(written) == 4, "a page of somebody else is not opened"
    page.unlink()
    page.symlink_to("/etc/hostname")
    assert not trusts_page(page)
    page.unlink()
    open_page(folder)
    assert opened == [page.as_uri()] * 6
    assert opened[0].endswith("my%20run/report/index.html")
