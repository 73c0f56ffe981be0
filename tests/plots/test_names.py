"""Names that are not ours are drawn as text."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from ir2search.plots.style import label_layers, method_label


@pytest.mark.parametrize("name", [r"$\nothing$", "$", "a\x1b\x00--b", "\ud800"])
def test_names_with_tex_or_control_characters_make_a_valid_figure(name: str) -> None:
    figure = Figure()
    ax = figure.subplots()
    label_layers(ax, [name])
    ax.set_title(method_label(name))
    svg = io.BytesIO()
    figure.savefig(svg, format="svg")
    ElementTree.fromstring(svg.getvalue())
    figure.savefig(io.BytesIO(), format="pdf")
