"""One process at a time trains what several processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from ir2search.errors import CheckpointError, RunError, TrainingDiverged
from ir2search.files import check_links, locked
from ir2search.training import Interrupted
from ir2search.training.checkpoint import discard_progress

POLL = 0.5  # seconds between attempts to take over from another process

T = TypeVar("T")


def train_in_turn(
    training: Callable[[], T], folder: Path, what: str, should_stop: Callable[[], bool]
) -> T:
    """Call ``training``, which trains or reads what is in ``folder``; first wait for its lock.

    If a checkpoint in the folder is damaged, the training starts again. ``what`` names in messages
    what is trained.

    Raises:
        TrainingDiverged: a loss was not finite.
        Interrupted: ``should_stop`` returned true.
    """
    with _waited_for(folder, should_stop):
        try:
            return training()
        except CheckpointError as error:
            discard_progress(folder, error)
            return training()
        except TrainingDiverged as error:
            raise TrainingDiverged(f"{what}: {error}") from None


@contextmanager
def _waited_for(folder: Path, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Wait for the lock of a folder, and hold it."""
    check_links(folder / ".lock")  # waiting would not end this error
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder, POLL))
                break
            except RunError:
                if should_stop():
                    raise Interrupted from None
        yield
