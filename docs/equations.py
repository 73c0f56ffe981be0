"""Equations of pages, between lines of `$$`, drawn when the site is built.

As outlines in the text's colour, so that a page fetches neither scripts nor fonts; who listens to
the page hears the source.
"""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

BLOCK = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.MULTILINE | re.DOTALL)
SIZE = 12  # points of the font that is drawn; the page scales it to its own
LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # of SVG for matplotlib's codes of a path
POINTS = {"M": 1, "L": 1, "Q": 2, "C": 3, "Z": 1}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put drawings in the equations' places, a line of the equation for each of the source."""
    return BLOCK.sub(lambda block: _drawn(block[1].splitlines()), markdown)


def _drawn(lines: list[str]) -> str:
    drawings = "<br>".join(_svg(line.strip()) for line in lines)
    return f'<p style="text-align: center; line-height: 3.2">{drawings}</p>'


def _svg(tex: str) -> str:
    font = FontProperties(size=SIZE, math_fontfamily="stix")
    width, height, depth = (
        float(size) for size in text_to_path.get_text_width_height_descent(f"${tex}$", font, True)
    )
    points, codes = text_to_path.get_text_path(font, f"${tex}$", ismath=True)
    points = np.asarray(points) * SIZE / text_to_path.FONT_SCALE
    # matplotlib's y goes up, SVG's down; a point of room for what the measures leave out
    box = f"-1 {depth - height - 1:.2f} {width + 2:.2f} {height + 2:.2f}"
    style = f"width: {1.25 * width / SIZE:.2f}em; max-width: 100%; vertical-align: middle"
    return (
        f'<svg role="img" aria-label="{html.escape(tex)}" viewBox="{box}" style="{style}" '
        f'fill="currentColor"><path d="{_outline(points, codes)}"/></svg>'
    )


def _outline(points: Any, codes: Any) -> str:
    """The path in SVG's letters."""
    steps, place = [], 0
    while place < len(codes):
        letter = LETTERS[int(codes[place])]
        taken = points[place : place + POINTS[letter]]
        place += POINTS[letter]
        along = " ".join(f"{x:.2f} {-y:.2f}" for x, y in taken)
        steps.append(letter if letter == "Z" else letter + along)
    return "".join(steps)
