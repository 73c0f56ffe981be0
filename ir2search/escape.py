"""Text that is not ours, made safe for where it is shown.

Terminal, Markdown, LaTeX, figures, CSV, XML: one function for each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 500  # characters of a text that a terminal shows

_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_MARKDOWN = re.compile(r"[\\`*_\[\]<>|&~@$]|(?<=:)/(?=/)|(?<=www)\.", re.IGNORECASE)
_STARTS_A_BLOCK = re.compile(r"(\d*)(#|[+-](?=\s)|[-=](?=[-=])|(?<=\d)[.)](?=\s|$))")
_IN_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
        "_": r"\_", "%": r"\%", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
        "`": r"\textasciigrave{}", "±": r"$\pm$",
    }
)  # fmt: skip
# at the start of a cell, or of what a spreadsheet takes as one, with the full-width forms of signs
_FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@\uff0b\uff0d\uff1d\uff20]|\s*[\t\r\n])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def one_line(value: object) -> str:
    r"""A text in one line: characters that are not printable become escapes such as ``\x1b``.

    This holds for control sequences of terminals, for line breaks, and for the signs that change
    the direction of text. Printable characters of every language stay.
    """
    text = str(value)
    return text if text.isprintable() else "".join(map(_visible, text))


def terminal(value: object, limit: int = SHOWN) -> str:
    """A text for a terminal: in one line, and its middle cut out if it is long.

    The end stays, because it often holds the advice of a message.

    Args:
        value: the text.
        limit: the most characters to show.
    """
    text = str(value)
    if len(text) > limit:
        end = limit // 3
        text = f"{text[: limit - end - 3]}...{text[-end:]}"
    return one_line(text)


def xml(text: str) -> str:
    r"""A text without the characters that XML forbids; they become escapes such as ``\x1b``.

    The characters are control characters and halves of surrogate pairs (XML 1.0, section 2.2).
    Markup stays.
    """
    return _NOT_XML.sub(lambda found: _visible(found[0]), text)


def markdown(value: object) -> str:
    """A text as text in Markdown: no markup, no link, no HTML, no cell of a table ends in it."""
    text = _IN_MARKDOWN.sub(r"\\\g<0>", one_line(value).strip())
    block = _STARTS_A_BLOCK.match(text)
    return text if block is None else f"{block[1]}\\{text[block.end(1) :]}"


def latex(value: object) -> str:
    """A text as text in LaTeX: no command and no mathematics, except for the sign ±."""
    return one_line(value).translate(_IN_LATEX)


def figure(value: object) -> str:
    """A text as text in a figure of matplotlib, which takes what is between two $ as TeX."""
    return one_line(value).replace("$", r"\$")


def csv_table(table: pd.DataFrame) -> str:
    """A table as CSV of which a spreadsheet runs no cell as a formula.

    A text that begins as a formula does gets an apostrophe before it (OWASP, "CSV Injection").
    Numbers stay as they are.
    """
    safe = table.map(csv_cell).rename(columns=csv_cell)
    return safe.to_csv(index=False)


def csv_cell(value: Any) -> Any:
    """A cell of CSV that is no formula; numbers stay as they are."""
    if not isinstance(value, str | list | tuple | dict):
        return value
    text = str(value)
    return one_line(text if _NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'", text))


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
