"""Tables and JSON on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200  # tables in a file or a pipe do not depend on the width of a terminal


def table(title: str | None, columns: Sequence[str], words: set[str]) -> Table:
    """An empty table.

    Args:
        title: above it.
        columns: their names.
        words: the columns of text; they are aligned to the left and may be folded.
    """
    made = Table(title=title, title_justify="left", box=None, header_style="bold")
    for name in columns:
        left = name in words
        made.add_column(name, justify="left" if left else "right", no_wrap=not left)
    return made


def console() -> Console:
    """Standard output."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2))  # noqa: T201
