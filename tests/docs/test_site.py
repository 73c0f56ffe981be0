"""The site, built as `make docs` builds it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ir2search.cli.app import COMMANDS
from ir2search.study.shipped import TEMPLATE

REPOSITORY = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
LOADED = re.compile(
    r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"|<link[^>]+stylesheet[^>]+href="(https?:[^"]+)"'
    r'|<link[^>]+href="(https?:[^"]+)"[^>]+stylesheet'
)


pytestmark = pytest.mark.xdist_group("site")  # its fixtures are made once


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


def test_the_reference_has_every_command(site: Path) -> None:
    page = (site / "reference" / "command-line.html").read_text()
    for command in COMMANDS:
        assert f'id="{command.__name__}"' in page


def test_the_site_has_every_figure_that_its_pages_show(site: Path) -> None:
    shown = [
        (page.parent / source).resolve()
        for page in site.rglob("*.html")
        for source in re.findall(r'<img[^>]+src="([^":]+)"', page.read_text())
        if page.name != "404.html"
    ]
    assert len(shown) > 6
    assert [path for path in shown if not path.is_file()] == []


def test_figures_have_dark_colours_and_published_pages_open(site: Path) -> None:
    figures = list(site.rglob("*.svg"))
    assert len(figures) > 15
    assert [file.name for file in figures if b"prefers-color-scheme" not in file.read_bytes()] == []
    page = (site / "reports" / "index.html").read_text()
    for name in re.findall(r'href="([\w-]+/index.html)"', page):
        assert (site / "reports" / name).is_file()
    assert 'href="digits/index.html"' in page


def test_the_page_of_the_study_file_explains_every_key_in_a_table(site: Path) -> None:
    page = (site / "reference" / "study-file.html").read_text()
    keys = re.findall(r'^(?:# )?"?([\w.]+)"? = ', TEMPLATE.read_text(), re.MULTILINE)
    assert len(keys) > 80
    assert [key for key in keys if f"<td><code>{key}</code></td>" not in page] == []
    assert "one in this many networks reaches it, but" in page, "a text of several lines is whole"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_search_works_from_a_folder(site: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
        page.goto((site / "index.html").as_uri())
        page.fill("input.md-search__input", "knee")
        found = page.wait_for_selector("a.md-search-result__link", state="attached")
        assert found.get_attribute("href").startswith("file://")
        browser.close()


def test_pages_load_nothing_from_the_network(site: Path) -> None:
    assert LOADED.search('<link href="https://x/a.css" rel="stylesheet">')
    for page in site.rglob("*.html"):
        assert LOADED.findall(page.read_text()) == [], page.name
