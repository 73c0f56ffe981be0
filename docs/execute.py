"""Run the tutorials that are notebooks, and keep their outputs.

    python docs/execute.py

runs each in an empty folder, so that outputs name no folder of this machine, and writes the
notebook again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

TUTORIALS = Path(__file__).with_name("tutorials")


def executed(file: Path, folder: Path) -> Any:
    """The notebook with new outputs; its cells run in ``folder``.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(file, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_name="python3", resources=where).execute()
    for cell in notebook.cells:
        cell.metadata = {}  # of this execution: times
        kept = [each for each in cell.get("outputs", ()) if each.get("name") != "stderr"]
        if cell.cell_type == "code":
            cell.outputs = kept  # without warnings of libraries, which name files of this machine
        for output in kept:
            output.get("metadata", {}).clear()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return notebook


def main() -> None:
    """Run the given notebooks, or all of them."""
    for file in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(TUTORIALS.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(file, Path(folder)), file)


if __name__ == "__main__":
    main()
