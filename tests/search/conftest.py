from __future__ import annotations

import multiprocessing

import pytest

from ir2search.search.executors import processes


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forks of a process that has imported what they need, which takes most of a start.

    For tests of what workers do; other tests start them as the package does.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([processes.__name__])
    monkeypatch.setattr(processes, "get_context", lambda _: context)
