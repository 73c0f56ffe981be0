from __future__ import annotations

from pathlib import Path

import pandas as pd

from ir2search.report.html import inline_svg, render

VALUES = {"names": ("a", "b"), "ratio": 1.0, "coverages": (1.0, 1.0), "reference": {"ops": 1.0}}


def test_markup_in_names_and_in_the_view_stays_text() -> None:
    values = VALUES | {"names": ("<b>a</b>", "b"), "table": pd.DataFrame(), "svg": "<svg></svg>"}
    page = render("comparison.html.j2", values, {"name": "</script><b>"})
    assert "<b>a</b>" not in page
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert r"\u003c/script>\u003cb>" in page
    assert "<svg></svg>" in page


def test_ids_of_two_figures_in_one_page_differ(tmp_path: Path) -> None:
    figures = []
    for name in ("one", "two"):
        file = tmp_path / "report" / "figures" / f"{name}.svg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('<?xml?>\n<svg><g id="a"/><use href="#a" clip-path="url(#a)"/></svg>')
        figures.append(inline_svg(file))
    name = "reportone-a"
    assert figures[0] == (
        f'<svg><g id="{name}"/><use href="#{name}" clip-path="url(#{name})"/></svg>'
    )
    assert figures[1] == figures[0].replace("one", "two")


def test_an_inlined_figure_keeps_its_colours(tmp_path: Path) -> None:
    file = tmp_path / "trial" / "figures" / "flow.svg"
    file.parent.mkdir(parents=True)
    file.write_text('<svg><rect fill="#9ecae1"/></svg>')
    assert inline_svg(file) == '<svg><rect fill="#9ecae1"/></svg>'
