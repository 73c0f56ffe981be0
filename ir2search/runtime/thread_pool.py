"""Threads that share out a loop. They start at the first loop, so that a fork before it is safe."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from ir2search.runtime.tiles import POSITIONS

LEAST = 1e-4  # seconds of work below which another thread takes longer to wake than to help

Loop = Callable[..., object]


class Crew:
    """So many threads, the calling one among them.

    Args:
        threads: at least 1.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._orders: list[SimpleQueue[Any]] = []
        self._reports: SimpleQueue[BaseException | None] = SimpleQueue()

    def share(self, loop: Loop, count: int, arguments: Sequence[Any], seconds: float) -> None:
        """Run ``loop(start, stop, *arguments)`` for parts of 0 to ``count``.

        ``seconds`` is about how long all of it takes one thread.
        """
        if self.threads == 1 or seconds < LEAST:
            loop(0, count, *arguments)
            return
        if not self._orders:
            self._start()
        part = -(-count // self.threads)
        part = -(-part // POSITIONS) * POSITIONS
        starts = range(part, count, part)
        for order, start in zip(self._orders, starts, strict=False):
            order.put((loop, start, min(count, start + part), arguments))
        loop(0, min(count, part), *arguments)
        failures = [self._reports.get() for _ in starts]
        for failure in failures:
            if failure is not None:
                raise failure

    def _start(self) -> None:
        self._orders = [SimpleQueue() for _ in range(self.threads - 1)]
        for orders in self._orders:
            threading.Thread(target=_work, args=(orders, self._reports), daemon=True).start()
            weakref.finalize(self, orders.put, None)


def _work(orders: SimpleQueue[Any], reports: SimpleQueue[BaseException | None]) -> None:
    while (order := orders.get()) is not None:
        loop, start, stop, arguments = order
        try:
            loop(start, stop, *arguments)
            reports.put(None)
        except BaseException as error:
            reports.put(error)
