"""Figures in a notebook."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_every_cell_shows_its_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    client, written = pytest.importorskip("nbclient"), pytest.importorskip("nbformat.v4")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel has its own
    draw = "from ir2search.plots.style import new_axes\naxes = new_axes((2, 2))"
    notebook = written.new_notebook(cells=[written.new_code_cell(draw) for _ in range(2)])
    client.NotebookClient(notebook, kernel_name="python3").execute()
    assert ["image/png" in cell.outputs[0].data for cell in notebook.cells] == [True, True]
