"""Observers of long work, whose errors do not end the work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

from ir2search.bars import can_be_seen

T = TypeVar("T")
_logger = logging.getLogger(__name__)


@contextmanager
def all_observers(
    kind: type[T],
    observer: T | Sequence[T] | None,
    bars: Callable[[], AbstractContextManager[T]],
    show: bool,
) -> Iterator[T]:
    """One observer that passes each event on to the given ones, and to bars if ``show`` is true.

    Bars are left out where nobody can see them.

    Args:
        kind: the class of observers.
        observer: the user's, one or several; None for none.
        bars: makes the observer that shows bars.
        show: whether bars are asked for.
    """
    if observer is None:
        observers: list[T] = []
    else:
        observers = list(observer) if isinstance(observer, Sequence) else [observer]
    with ExitStack() as stack:
        if show and can_be_seen():
            observers.append(stack.enter_context(bars()))
        yield guarded(kind, observers)


def guarded(kind: type[T], observers: Sequence[T]) -> T:
    """One observer that passes each event on to all given ones, even if one raises an exception.

    Args:
        kind: the class of observers; each method ``on_...`` is told.
        observers: may be empty.

    The first exception of each method is logged. KeyboardInterrupt is not caught.
    """
    result = kind()
    for name in dir(kind):
        if name.startswith("on_"):
            setattr(result, name, _all([_guarded(getattr(each, name)) for each in observers]))
    return result


def _all(methods: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        for method in methods:
            method(*arguments)

    return call


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    is_logged = False

    def call(*arguments: Any) -> None:
        nonlocal is_logged
        try:
            method(*arguments)
        except Exception as error:
            if not is_logged:
                name = getattr(method, "__qualname__", method)
                _logger.warning("%s failed, and the work goes on: %r", name, error, exc_info=True)
            is_logged = True

    return call
