"""Figures as files: PNG for screens, SVG for the page, PDF for papers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
from matplotlib.figure import Figure

from ir2search.plots.style import STYLE

WIDTHS = {"": 7.0, "-column": 3.4}  # inches: both columns of a paper, and one


def save(draw: Callable[[], Figure], file: Path) -> None:
    """Draw a figure in the package's style and write it as .png, .svg and .pdf.

    The files hold no date, so equal figures are equal files.

    Args:
        draw: makes the figure; called within the style.
        file: where to, without a suffix; its folder is made if needed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(), matplotlib.style.context(str(STYLE)):
        figure = draw()
        figure.savefig(file.with_suffix(".png"))
        figure.set_layout_engine("none")  # the PNG has laid it out
        figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(file.with_suffix(".pdf"), metadata={"CreationDate": None})


def save_widths(draw: Callable[[float], Figure], file: Path) -> None:
    """Write a figure for both column widths of a paper.

    Args:
        draw: makes the figure for a width in inches.
        file: where to, without a suffix; the figure for one column gets ``-column``.
    """
    for suffix, width in WIDTHS.items():
        save(partial(draw, width), file.with_name(file.name + suffix))
