"""Tables, lines and JSON on standard output.

Texts from files may contain control sequences and markup, so every text goes through `safe`. Only a
`Text` of rich keeps its styles.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ir2search import escape

PIPE_WIDTH = 200  # tables in a file or a pipe do not depend on the width of a terminal


class SafeTable(Table):
    """A table that shows its cells as text: no control sequence, no markup."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row; a cell that is a `Text` keeps its styles."""
        super().add_row(*map(safe, cells), **options)


def table(title: str | None, columns: Sequence[str], words: set[str]) -> SafeTable:
    """An empty table; columns in ``words`` are aligned to the left, and folded instead of cut.

    The first column names the row, so it is folded last.
    """
    shown = None if title is None else safe(title)
    made = SafeTable(
        title=shown, title_justify="left", box=None, header_style="bold", pad_edge=False
    )
    for name in columns:
        left = name in words
        fold = left and bool(made.columns)
        made.add_column(
            safe(name), justify="left" if left else "right", no_wrap=not fold, overflow="fold"
        )
    return made


def safe(value: str | Text) -> Text:
    """A text on one line, of limited length, without markup."""
    return value if isinstance(value, Text) else Text(escape.terminal(value))


def line(*parts: str | Text) -> Text:
    """One line made of parts; a part that is a `Text` keeps its styles."""
    return Text.assemble(*map(safe, parts))


def say(*parts: str | Text) -> None:
    """Print a line on standard output."""
    console().print(line(*parts), soft_wrap=True)


def bold(value: str) -> Text:
    """A text in bold."""
    return Text(escape.terminal(value), "bold")


def console() -> Console:
    """Standard output."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_json(value: object) -> None:
    """Print a value as JSON, in ASCII."""
    print(json.dumps(value, indent=2))  # noqa: T201
