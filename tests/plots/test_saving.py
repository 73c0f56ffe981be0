from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure
from PIL import Image

from ir2search.plots import save, save_widths


def draw(width: float = 2.0) -> Figure:
    figure = Figure(figsize=(width, 2.0))
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def test_a_figure_is_written_in_three_formats_into_a_new_folder(tmp_path: Path) -> None:
    save(draw, tmp_path / "new" / "line")
    files = {file.suffix: file.read_bytes() for file in (tmp_path / "new").iterdir()}
    assert set(files) == {".png", ".svg", ".pdf"}
    assert ElementTree.fromstring(files[".svg"]).tag.endswith("svg")
    assert files[".pdf"].startswith(b"%PDF")


def test_a_figure_is_written_for_both_column_widths(tmp_path: Path) -> None:
    save_widths(draw, tmp_path / "line")
    with Image.open(tmp_path / "line.png") as wide, Image.open(tmp_path / "line-column.png") as one:
        assert wide.width > 1.8 * one.width


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    save(draw, tmp_path / "one")
    save(draw, tmp_path / "two")
    for suffix in (".png", ".svg", ".pdf"):
        one, two = (tmp_path / name for name in ("one", "two"))
        assert one.with_suffix(suffix).read_bytes() == two.with_suffix(suffix).read_bytes()
