"""The site is built as `make docs` does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ir2search.cli.app import COMMANDS

REPOSITORY = Path(__file__).parents[2]
FETCHED = re.compile(
    r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"|<link[^>]+stylesheet[^>]+href="(https?:[^"]+)"'
    r'|<link[^>]+href="(https?:[^"]+)"[^>]+stylesheet'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    assert "mkdocs build --strict" in (REPOSITORY / "Makefile").read_text()
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_command_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "command-line.html").read_text()
    for command in COMMANDS:
        assert f'id="{command.__name__}"' in page


def test_figures_that_pages_show_are_in_the_site(site: Path) -> None:
    shown = [
        (page.parent / source).resolve()
        for page in site.rglob("*.html")
        for source in re.findall(r'<img[^>]+src="([^":]+)"', page.read_text())
        if page.name != "404.html"
    ]
    assert len(shown) > 6
    assert [path for path in shown if not path.is_file()] == []


def test_nothing_is_fetched_from_anywhere(site: Path) -> None:
    assert FETCHED.search('<link href="https://x/a.css" rel="stylesheet">')
    for page in site.rglob("*.html"):
        assert FETCHED.findall(page.read_text()) == [], page.name
