"""Threads that share a loop. They start at the first loop, so that a process can fork before it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from ir2search.runtime.frame import POSITIONS

LEAST_SECONDS = 1e-4  # of work; for less, waking another thread takes longer than it helps

Loop = Callable[..., object]


class ThreadPool:
    """A number of threads, with the calling thread as one of them.

    Args:
        threads: at least 1.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._tasks: list[SimpleQueue[Any]] = []
        self._results: SimpleQueue[BaseException | None] = SimpleQueue()

    def run(self, loop: Loop, count: int, arguments: Sequence[Any], seconds: float) -> None:
        """Run ``loop(start, stop, *arguments)`` on parts of the range from 0 to ``count``.

        Args:
            loop: the function.
            count: where the range ends.
            arguments: further arguments of the function.
            seconds: an estimate of what one thread needs for the whole range.

        Raises:
            BaseException: what the function raised, after all threads have ended their part.
        """
        if self.threads == 1 or seconds < LEAST_SECONDS:
            loop(0, count, *arguments)
            return
        if not self._tasks:
            self._start()
        part = -(-count // self.threads)
        part = -(-part // POSITIONS) * POSITIONS
        starts = range(part, count, part)
        for tasks, start in zip(self._tasks, starts, strict=False):
            tasks.put((loop, start, min(count, start + part), arguments))
        try:
            loop(0, min(count, part), *arguments)
        finally:  # the next call must not read these results
            errors = [self._results.get() for _ in starts]
        for error in errors:
            if error is not None:
                raise error

    def _start(self) -> None:
        self._tasks = [SimpleQueue() for _ in range(self.threads - 1)]
        for tasks in self._tasks:
            threading.Thread(target=_work, args=(tasks, self._results), daemon=True).start()
            weakref.finalize(self, tasks.put, None)


def _work(tasks: SimpleQueue[Any], results: SimpleQueue[BaseException | None]) -> None:
    while (task := tasks.get()) is not None:
        loop, start, stop, arguments = task
        try:
            loop(start, stop, *arguments)
            results.put(None)
        except BaseException as error:
            results.put(error)
