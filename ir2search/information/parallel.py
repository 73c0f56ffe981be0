"""Run parts of an analysis in parallel, on threads that share the cores.

The operations of a small network are too short to split over cores. Two passes in parallel, on one
core each, are faster than two passes in turn on both cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event, Lock
from typing import TypeVar

import torch

from ir2search.machine import cores

Part = TypeVar("Part")
Result = TypeVar("Result")
StepDone = Callable[[str], None]  # called with the name of a step


def parts_at_once(device: torch.device, parts: int) -> int:
    """How many of some parts run at the same time: on a CPU one for each thread, on a GPU one."""
    return max(1, min(_threads(), parts)) if device.type == "cpu" else 1


def run_parts(
    work: Callable[[Part, StepDone], Result],
    parts: Sequence[Part],
    on_step: StepDone,
    device: torch.device,
) -> list[Result]:
    """Do the work of each part; on a CPU, of several at the same time.

    Args:
        work: called with a part, and with a function to call after each step. This function ends
            the work if the user interrupts, or if another part fails.
        parts: what is to be done. They must not change the same network.
        on_step: called after each step of any part, from one thread at a time.
        device: where the parts compute.

    Returns:
        The result of each part, in their order.
    """
    at_once = parts_at_once(device, len(parts))
    if at_once == 1:
        return [work(part, on_step) for part in parts]
    stop, lock, threads = Event(), Lock(), torch.get_num_threads()

    def step(name: str) -> None:
        with lock:
            if stop.is_set():
                raise CancelledError
            on_step(name)

    pool = ThreadPoolExecutor(
        at_once,
        initializer=torch.set_num_threads,  # holds for the thread that calls it
        initargs=(_threads() // at_once,),
    )
    try:
        with pool:
            running = [pool.submit(copy_context().run, work, part, step) for part in parts]
            try:
                return [each.result() for each in running]
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)


def _threads() -> int:
    return min(torch.get_num_threads(), cores())
