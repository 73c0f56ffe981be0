"""Threads that share a loop. They start at the first loop: until then, a process can fork."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from ir2search.runtime.frame import POSITIONS

LEAST_SECONDS = 1e-4  # for shorter work, waking another thread takes longer than it saves

Loop = Callable[..., object]


class ThreadPool:
    """A number of threads, at least 1; the calling thread is one of them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._tasks: list[SimpleQueue[Any]] = []
        self._results: SimpleQueue[BaseException | None] = SimpleQueue()

    def run(self, loop: Loop, count: int, arguments: Sequence[Any], seconds: float) -> None:
        """Run ``loop(start, stop, *arguments)`` on parts of the range from 0 to ``count``.

        ``seconds`` estimates the time of one thread for the whole range. An exception of a loop is
        raised after all threads have ended their part.
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
