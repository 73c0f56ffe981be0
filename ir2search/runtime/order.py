"""The order of the steps of a program, so that little memory is in use at each step."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from graphlib import TopologicalSorter

from ir2search.runtime.lowering import Step


def in_little_memory(steps: Sequence[Step], sizes: Mapping[int, int]) -> list[int]:
    """Indices of steps in an order that can be run.

    Of the steps whose inputs are ready, the next one is the one after which the least memory is in
    use; if several are equal, the earliest. A map that recovery taps is therefore pooled as soon as
    it is ready, and its memory is free for the rest of the network.

    Args:
        steps: in an order that can be run.
        sizes: bytes of each value.
    """
    memory = _Memory(steps, sizes)

    def next_one(ready: Collection[int]) -> int:
        return min(ready, key=lambda each: (memory.change(each), each))

    return greedy_order(_needs(steps), next_one, memory.run)


def greedy_order(
    needs: Sequence[Collection[int]],
    choose: Callable[[Collection[int]], int],
    run: Callable[[int], None],
) -> list[int]:
    """An order of jobs in which each runs after those that it needs.

    Args:
        needs: for each job, the jobs that run before it.
        choose: picks the next job from those that can run now.
        run: called with each job after it is chosen, before the next choice.
    """
    sorter = TopologicalSorter(dict(enumerate(needs)))
    sorter.prepare()
    ready: set[int] = set()
    order: list[int] = []
    while sorter.is_active():
        ready.update(sorter.get_ready())
        index = choose(ready)
        ready.remove(index)
        run(index)
        order.append(index)
        sorter.done(index)
    return order


def _needs(steps: Sequence[Step]) -> list[set[int]]:
    """For each step, the steps that write what it reads."""
    writers: dict[int, list[int]] = defaultdict(list)
    for index, step in enumerate(steps):
        for value in step.writes:
            writers[value].append(index)
    return [{writer for value in step.reads for writer in writers[value]} for step in steps]


class _Memory:
    """The values that are in memory, and how many steps have yet to read each."""

    def __init__(self, steps: Sequence[Step], sizes: Mapping[int, int]) -> None:
        self._steps, self._sizes = steps, sizes
        self._readers = Counter(value for step in steps for value in set(step.reads))
        self._held = {0}

    def change(self, index: int) -> int:
        """How many more bytes are in use after a step; below 0 if it frees memory."""
        step = self._steps[index]
        new = sum(self._sizes[value] for value in set(step.writes) - self._held)
        return new - sum(self._sizes[value] for value in self._last_read(step))

    def run(self, index: int) -> None:
        """Update the values after a step."""
        step = self._steps[index]
        self._held |= set(step.writes)
        self._held -= self._last_read(step)
        self._readers.subtract(set(step.reads))

    def _last_read(self, step: Step) -> set[int]:
        return {value for value in step.reads if self._readers[value] == 1}
