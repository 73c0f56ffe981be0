"""The progress of an analysis, as a bar; without a terminal, as a line each minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ir2search.bars import Bars, can_be_seen

OnStep = Callable[[str, int, int], None]  # the step, the number of steps done, and their total


@contextmanager
def analysis_progress() -> Iterator[OnStep]:
    """A bar for the steps of an analysis; yields the function to call before each step.

    Without a terminal, it prints a line each minute.
    """
    with Bars() as bars:

        def on_step(step: str, done: int, total: int) -> None:
            note = f"{done}/{total}"
            bars.update(bars.task, title=step, completed=done, total=total, note=note)
            if bars.take_line_turn():
                bars.say(f"{step}: {note}")

        yield on_step


@contextmanager
def shown_steps(on_step: OnStep, progress: bool) -> Iterator[OnStep]:
    """Tell ``on_step`` of each step, and show a bar if it is asked for and can be seen."""
    if not (progress and can_be_seen()):
        yield on_step
        return
    with analysis_progress() as show:

        def both(step: str, done: int, total: int) -> None:
            on_step(step, done, total)
            show(step, done, total)

        yield both
