"""Interrupts that wait until the program can stop safely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """Training was asked to stop; its last complete epoch is on disk."""


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Let work be stopped as `deferred_interrupts` does; stopped work ends in KeyboardInterrupt.

    Yields:
        A function that returns whether the work should stop by raising `Interrupted`.
    """
    try:
        with deferred_interrupts() as should_stop:
            yield should_stop
    except Interrupted:
        raise KeyboardInterrupt from None


@contextmanager
def blocked_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Processes that start in this context do not get these signals.

    A terminal or a batch system sends a signal to a whole group of processes. Only the process
    that decides what to do then should get it. Signals to this process wait until the context ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a request to stop, so that it interrupts no write.

    A second signal raises KeyboardInterrupt at once. Only the main thread gets requests, because
    Python handles signals there.

    Yields:
        A function that returns whether a signal has been received.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
