from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ir2search as ir
from ir2search import errors
from ir2search.cli.app import COMMANDS

REPOSITORY = Path(__file__).parents[1]


def test_every_public_name_loads_and_no_other_name_is_public() -> None:
    assert sorted(ir.__all__) == ir.__all__
    assert set(ir.__all__) <= set(dir(ir))
    for name in ir.__all__:
        assert getattr(ir, name).__name__.removeprefix("ir2search.") == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = ir.nothing


def test_a_public_function_is_not_replaced_by_a_module_of_the_same_name() -> None:
    for module in ("search.session", "costs.count", "information.analysis", "search.progress"):
        importlib.import_module(f"ir2search.{module}")
    for name in ("cost", "run", "restrict", "front", "trials", "status", "analyze"):
        assert callable(getattr(ir, name)), name


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, ir2search; print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "optuna", "numpy"} & set(re.findall(r"'(\w+)'", shown.stdout))


def test_the_version_is_that_of_the_installed_package() -> None:
    assert ir.__version__ == version("ir2search")


def test_the_docstring_of_errors_shows_their_tree() -> None:
    classes = {
        name for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, Exception)
    }  # fmt: skip
    drawn = set(re.findall(r"^\s+(?:[│├└─ ]*)(\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == classes
    assert all(issubclass(getattr(errors, name), errors.IR2SearchError) for name in classes)


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name in ir.__all__ if not inspect.getdoc(getattr(ir, name))] == []


def test_the_overview_lists_every_command() -> None:
    overview = (REPOSITORY / "docs" / "index.md").read_text().partition("## All commands")[2]
    used = set(re.findall(r"^ir2search (\w+)", overview, re.MULTILINE))
    assert used == {command.__name__ for command in COMMANDS}


PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "reports/README.md")


@pytest.mark.parametrize("name", PAGES)
def test_links_to_files_work(name: str) -> None:
    page = REPOSITORY / name
    links = re.findall(r"\]\(((?!https?:)[^)]+)\)", page.read_text())
    for target, _, anchor in (link.partition("#") for link in links):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in headings(file), f"{target}#{anchor}"


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
