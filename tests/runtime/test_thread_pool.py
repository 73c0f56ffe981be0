from __future__ import annotations

import gc
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir2search.runtime.thread_pool import ThreadPool

LONG = 1.0  # seconds of work that a call claims


@given(st.integers(1, 4), st.integers(1, 200), st.sampled_from([0.0, LONG]))
def test_each_position_is_processed_once(threads: int, count: int, seconds: float) -> None:
    seen = [0] * count

    def loop(start: int, stop: int, step: int) -> None:
        for position in range(start, stop):
            seen[position] += step

    pool = ThreadPool(threads)
    pool.run(loop, count, (3,), seconds)
    pool.run(loop, count, (4,), seconds)
    assert seen == [7] * count


def test_long_work_is_shared_and_short_work_is_not() -> None:
    names: list[int] = []
    pool = ThreadPool(2)

    def loop(start: int, stop: int) -> None:
        names.append(threading.get_ident())

    before = set(threading.enumerate())
    pool.run(loop, 100, (), 0.0)
    assert names == [threading.get_ident()]
    assert before.issuperset(threading.enumerate()), "no thread starts before it is needed"
    pool.run(loop, 100, (), LONG)
    assert len(set(names)) == 2


def test_an_error_in_any_thread_reaches_the_caller() -> None:
    def loop(start: int, stop: int) -> None:
        if start > 0:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        ThreadPool(2).run(loop, 100, (), LONG)


def test_an_error_in_the_caller_waits_for_the_other_threads() -> None:
    done = []

    def loop(start: int, stop: int) -> None:
        if start == 0:
            raise KeyboardInterrupt
        time.sleep(0.05)
        done.append(start)

    with pytest.raises(KeyboardInterrupt):
        ThreadPool(2).run(loop, 100, (), LONG)
    assert len(done) == 1


def test_threads_end_with_their_pool() -> None:
    before = set(threading.enumerate())
    pool = ThreadPool(3)
    pool.run(lambda start, stop: None, 100, (), LONG)
    started = set(threading.enumerate()) - before
    assert len(started) == 2
    del pool
    gc.collect()
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()
