"""Figures as files: PNG for screens, SVG for the page, PDF for papers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ir2search.files import replacing
from ir2search.plots.style import STYLE

FORMATS: dict[str, dict[str, Any]] = {  # suffixes, with metadata that leave out the date
    ".png": {},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
WIDTHS = {"": 7.0, "-column": 3.4}  # inches: both columns of a paper, and one


def save(draw: Callable[[], Figure], file: Path) -> None:
    """Draw a figure in the package's style and write it as .png, .svg and .pdf.

    The files hold no date, so equal figures are equal files.

    Args:
        draw: makes the figure; called within the style.
        file: path without a suffix; its folder is created if needed.
    """
    with mpl.rc_context(), matplotlib.style.context(str(STYLE)):
        figure = draw()
        shown = _arranged(figure)
        for suffix, metadata in FORMATS.items():
            with replacing(file.with_suffix(suffix)) as place:
                figure.savefig(place, metadata=metadata, bbox_inches=shown)


def _arranged(figure: Figure) -> Bbox:
    """Arrange a figure, once for all of its files; returns the part that they show, in inches."""
    figure.set_dpi(mpl.rcParams["savefig.dpi"])
    figure.draw_without_rendering()
    mpl.rcParams["figure.constrained_layout.use"] = False  # each file would arrange it again
    figure.set_layout_engine(None)
    return figure.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"])


def save_widths(draw: Callable[[float], Figure], file: Path) -> None:
    """Write a figure for both column widths of a paper.

    Args:
        draw: makes the figure for a width in inches.
        file: path without a suffix; the name for one column ends in ``-column``.
    """
    for suffix, width in WIDTHS.items():
        save(partial(draw, width), file.with_name(file.name + suffix))
