"""One process at a time trains what several processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ir2search.errors import RunError
from ir2search.files import locked
from ir2search.training import Interrupted

POLL = 0.5  # seconds between attempts to take over from another process


@contextmanager
def waited_for(folder: Path, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Wait for the lock of a folder, and hold it.

    Raises:
        Interrupted: ``should_stop`` returned true.
    """
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder, POLL))
                break
            except RunError:
                if should_stop():
                    raise Interrupted from None
        yield
