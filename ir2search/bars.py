"""Progress bars in terminals and in notebooks, and lines above them."""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections import deque
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ir2search import escape, text

MOST_LINES = 30  # above the bars of a notebook; older ones are dropped
SECONDS_BETWEEN_UPDATES = 0.3  # of a notebook's output
SECONDS_BETWEEN_LINES = 60.0  # of progress, where there is no terminal


class Bars:
    """Bars that are shown inside a ``with`` block, and lines above them.

    They are on standard error, so that results can be piped; without a terminal, only the lines
    are printed. In a notebook they are one output of the cell, which changes. If the package's
    logger shows errors only, as with --quiet, nothing is shown.
    """

    def __init__(self) -> None:
        self._is_quiet = not logging.getLogger("ir2search").isEnabledFor(logging.WARNING)
        console = Console(
            stderr=True, quiet=self._is_quiet, highlight=False, markup=False, emoji=False
        )
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            _TimeLeftColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
            disable=self._is_quiet or console.is_jupyter or not console.is_terminal,
        )
        self.task = self.progress.add_task("reading images", total=None, note="")
        is_cell = console.is_jupyter and not self._is_quiet
        self._output = _CellOutput(self.progress) if is_cell else None
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        if self._output is not None:
            self._output.show()

    @property
    def are_shown(self) -> bool:
        """Whether somebody can see the bars, not only the lines."""
        return self._output is not None or not self.progress.disable

    def take_line_turn(self) -> bool:
        """Whether to print a progress line now; if so, the next one is due in a minute.

        Lines take the place of bars that nobody can see.
        """
        is_due = not self.are_shown and time.monotonic() - self._said >= SECONDS_BETWEEN_LINES
        if is_due:
            self._said = time.monotonic()
        return is_due

    def say(self, line: str) -> None:
        """Print a line above the bars, without control sequences and without markup."""
        shown = escape.terminal(line)
        if self._output is None:
            self.progress.console.print(shown, soft_wrap=True)
        else:
            self._output.lines.append(shown)
            self._output.show()

    def add(self, title: str, total: float | None) -> TaskID:
        """Add a bar below the others."""
        return self.progress.add_task(escape.terminal(title), total=total, note="")

    def update(self, task: TaskID, *, title: str | None = None, **values: Any) -> None:
        """Change a bar: its title, ``completed``, ``total``, ``note``, and seconds ``left``."""
        shown = None if title is None else escape.terminal(title)
        self.progress.update(task, description=shown, **values)
        if self._output is not None and self._output.is_due():
            self._output.show()

    def remove(self, task: TaskID) -> None:
        """Remove a bar."""
        self.progress.remove_task(task)


def can_be_seen() -> bool:
    """Whether bars are seen: in a notebook, or if standard output and error are terminals."""
    streams = (sys.stdout, sys.stderr)
    return Console().is_jupyter or all(each is not None and each.isatty() for each in streams)


def left(seconds: float | None) -> str:
    """The end of a line that says how long the work will still take; empty if it is not known."""
    return "" if seconds is None else f", about {text.time_left(seconds)} left"


class _TimeLeftColumn(TimeRemainingColumn):
    """The time left that the bar is told; without it, what the bar's own speed says."""

    def render(self, task: Task) -> Text:
        seconds = task.fields.get("left")
        return super().render(task) if seconds is None else Text(f"{text.time_left(seconds)} left")


class _CellOutput:
    """The output of a notebook's cell that shows bars and the last lines.

    `rich.live` needs ipywidgets in a notebook; to update an output needs IPython alone.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.lines: deque[str] = deque(maxlen=MOST_LINES)
        self.shown_at = time.monotonic()
        display = importlib.import_module("IPython.display").display  # every notebook has it
        self.handle = display(self._content(), display_id=True)

    def is_due(self) -> bool:
        """Whether the output was not changed for a moment."""
        return time.monotonic() - self.shown_at > SECONDS_BETWEEN_UPDATES

    def show(self) -> None:
        """Change the output to what is known now."""
        self.shown_at = time.monotonic()
        self.handle.update(self._content())

    def _content(self) -> Table:
        content = Table.grid()
        for line in self.lines:
            content.add_row(Text(line))
        content.add_row(self.progress.make_tasks_table(self.progress.tasks))
        return content
