"""Choose the number of threads of a training on a CPU: one or all, whichever is faster now.

The numbers of a training do not depend on the choice, see `ir2search.nn.threads`. Convolutions that
the kernels do not compute, such as those of real weights, always use all of torch's threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from ir2search.kernels.training import library
from ir2search.machine import cores
from ir2search.nn import BinaryConv2d, kernels_on
from ir2search.openmp import warn_of_spinning

ROUNDS = 3  # steps with each number of threads; the first is a warm-up
LONGEST = 2.0  # seconds after which no further round begins


def best_threads(
    network: nn.Module, device: torch.device, step: Callable[[], object]
) -> AbstractContextManager[None]:
    """A context in which a training runs on the fastest number of threads.

    ``step`` does the work of one training step, but changes nothing.
    """
    if device.type != "cpu" or library() is None or not _is_binary(network):
        return nullcontext()
    most = min(torch.get_num_threads(), cores())
    threads = 1 if most == 1 else faster((1, most), step)
    if threads > 1:
        warn_of_spinning()
    return kernels_on(threads)


def faster(choices: tuple[int, int], step: Callable[[], object]) -> int:
    """The number of threads with the fastest step; of equal ones the first."""
    start, fastest = time.perf_counter(), dict.fromkeys(choices, math.inf)
    for number in range(ROUNDS):
        for threads in choices:
            seconds = _seconds(threads, step)
            if number > 0:
                fastest[threads] = min(fastest[threads], seconds)
        if number > 0 and time.perf_counter() - start > LONGEST:
            break
    return min(choices, key=lambda threads: fastest[threads])


def _seconds(threads: int, step: Callable[[], object]) -> float:
    with kernels_on(threads):
        start = time.perf_counter()
        step()
        return time.perf_counter() - start


def _is_binary(network: nn.Module) -> bool:
    """Whether the kernels compute the network's convolutions, maybe without the stem."""
    found = [module for module in network.modules() if isinstance(module, BinaryConv2d)]
    return any(module.is_binary and module.groups == 1 for module in found)
