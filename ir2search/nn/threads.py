"""The number of threads of the fused operations. Their results do not depend on it.

The results of torch's own operations depend on it, in the last bits, because a sum over a batch is
split among the threads. A training that must give the same numbers on every machine therefore runs
torch's operations on one thread, and only the kernels on several.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_threads: ContextVar[int | None] = ContextVar("threads", default=None)


def kernel_threads() -> int:
    """Number of threads that kernels use; that of torch, unless `kernels_on` sets another one."""
    return _threads.get() or torch.get_num_threads()


@contextmanager
def kernels_on(threads: int) -> Iterator[None]:
    """Run kernels on this many threads, and torch's operations on one."""
    before, token = torch.get_num_threads(), _threads.set(threads)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _threads.reset(token)
