"""Escape text of users and files for terminals, Markdown, LaTeX, figures, CSV and XML."""

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
# a formula at the start of a cell or after ";", which can start a cell; \uff.. are full-width signs
_FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@\uff0b\uff0d\uff1d\uff20]|\s*[\t\r\n])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def one_line(value: object) -> str:
    r"""Replace characters that are not printable by escapes such as ``\x1b``.

    They are control sequences of terminals, line breaks, and marks that change the direction of
    text. Printable characters of every language stay.
    """
    text = str(value)
    return text if text.isprintable() else "".join(map(_visible, text))


def terminal(value: object, limit: int = SHOWN) -> str:
    """Escape a text for a terminal, and cut out its middle if it has over ``limit`` characters.

    The end is kept, because it often says what to do.
    """
    text = str(value)
    if len(text) > limit:
        end = limit // 3
        text = f"{text[: limit - end - 3]}...{text[-end:]}"
    return one_line(text)


def xml(text: str) -> str:
    r"""Replace the characters that XML forbids by escapes such as ``\x1b``; markup stays.

    They are control characters and halves of surrogate pairs (XML 1.0, section 2.2).
    """
    return _NOT_XML.sub(lambda found: _visible(found[0]), text)


def markdown(value: object) -> str:
    """Escape a text for Markdown: it has no markup, links or HTML, and ends no table cell."""
    text = _IN_MARKDOWN.sub(r"\\\g<0>", one_line(value).strip())
    block = _STARTS_A_BLOCK.match(text)
    return text if block is None else f"{block[1]}\\{text[block.end(1) :]}"


def latex(value: object) -> str:
    """Escape a text for LaTeX: it has no commands and no mathematics except the sign ±."""
    return one_line(value).translate(_IN_LATEX)


def figure(value: object) -> str:
    """Escape a text for a figure of matplotlib, where two $ enclose TeX."""
    return one_line(value).replace("$", r"\$")


def csv_table(table: pd.DataFrame) -> str:
    """Write a table as CSV that a spreadsheet does not read as formulas.

    A text that starts like a formula gets an apostrophe before it (OWASP, "CSV Injection"). Numbers
    do not change.
    """
    safe = table.map(csv_cell).rename(columns=csv_cell)
    return safe.to_csv(index=False)


def csv_cell(value: Any) -> Any:
    """Escape a cell of CSV, so that it is not a formula; numbers do not change."""
    if not isinstance(value, str | list | tuple | dict):
        return value
    text = str(value)
    return one_line(text if _NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'", text))


def _visible(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
