"""Linear algebra of small matrices."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Limit the linear algebra of numpy and scipy to one thread.

    For small matrices several threads can take a hundred times as long, if cores are busy or few.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    """The libraries that are loaded when this is called first; finding them takes a while."""
    return ThreadpoolController()
