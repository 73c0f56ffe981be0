"""The tutorials that are notebooks run, and show what they are stored with."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))
ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:home|root|tmp|usr|work|Users|var)/")


def outputs(notebook: Any) -> list[Any]:
    return [
        output
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        for output in cell["outputs"]
    ]


def kinds(notebook: Any) -> set[str]:
    """Kinds of outputs: text that is printed, and MIME types."""
    return {kind for each in outputs(notebook) for kind in each.get("data", {"text": None})}


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_stored_with_outputs_that_name_no_folder_of_a_machine(file: Path) -> None:
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert len(outputs(stored)) > 3
    assert not any(each["output_type"] == "error" for each in outputs(stored))
    shown = [
        "".join(content)
        for each in outputs(stored)
        for kind, content in each.get("data", {"text": each.get("text", "")}).items()
        if kind != "image/png"
    ]
    assert ABSOLUTE.search("see /home/me/file")
    assert [text for text in shown if ABSOLUTE.search(text)] == []


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel has its own
    done = runpy.run_path(str(DOCS / "execute.py"))["executed"](file, tmp_path)
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert kinds(done) == kinds(stored)
    if file.stem == "digits-notebook":
        shown = [str(each["data"].get("text/plain")) for each in outputs(done) if "data" in each]
        assert any("trial 3: " in each for each in shown), "ir.run shows its progress"


def test_a_notebook_is_a_page_with_its_code_and_its_outputs() -> None:
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    page = hooks["notebook_page"](DOCS / "tutorials" / "device-notebook.ipynb")
    assert page.startswith("# Ship a network to a device")
    assert 'href="device-notebook.ipynb" download' in page
    assert 'ir.load_packed("digits.packed")' in page
    assert "<table>" in page
    assert 'class="dataframe"' not in page, "the table looks as those of other pages"
