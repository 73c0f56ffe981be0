from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from ir2search.interrupts import deferred_interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with deferred_interrupts() as is_requested:
        assert not is_requested()
        os.kill(os.getpid(), number)
        assert is_requested()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_other_threads_get_no_request() -> None:
    def ask() -> bool:
        with deferred_interrupts() as is_requested:
            return is_requested()

    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(ask).result()
