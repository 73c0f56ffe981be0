"""Draw the equations of a page, between lines of ``$$``, when the site is built.

Equations become SVG paths in the text's colour, so that a page loads neither scripts nor fonts. A
screen reader reads their source.
"""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

BLOCK = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.MULTILINE | re.DOTALL)
SIZE = 12  # font size in points; the page scales the drawing to its own size
LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # matplotlib's path codes as SVG's
POINTS = {"M": 1, "L": 1, "Q": 2, "C": 3, "Z": 1}  # that each letter takes


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each equation by drawings, one for each of its lines."""
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
    # matplotlib's y axis points up, SVG's down; one point of margin, as extents are rounded
    box = f"-1 {depth - height - 1:.2f} {width + 2:.2f} {height + 2:.2f}"
    style = f"width: {1.25 * width / SIZE:.2f}em; max-width: 100%; vertical-align: middle"
    return (
        f'<svg role="img" aria-label="{html.escape(tex)}" viewBox="{box}" style="{style}" '
        f'fill="currentColor"><path d="{_outline(points, codes)}"/></svg>'
    )


def _outline(points: Any, codes: Any) -> str:
    """The path data of an SVG ``path`` element."""
    steps, place = [], 0
    while place < len(codes):
        letter = LETTERS[int(codes[place])]
        taken = points[place : place + POINTS[letter]]
        place += POINTS[letter]
        along = " ".join(f"{x:.2f} {-y:.2f}" for x, y in taken)
        steps.append(letter if letter == "Z" else letter + along)
    return "".join(steps)
