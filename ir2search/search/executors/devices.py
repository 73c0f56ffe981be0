"""Which worker trains where, and on how many threads."""

from __future__ import annotations

import itertools

import torch

from ir2search.errors import InputError
from ir2search.training import pick_device


def worker_devices(
    devices: str, workers: int | None = None, trials_per_device: int | None = None
) -> list[torch.device]:
    """One device for each worker.

    Args:
        devices: names with commas between, see `pick_device`.
        workers: how many; as many as there are devices where left out.
        trials_per_device: in place of ``workers``, how many on each device.

    Raises:
        InputError: a device that is not there, a number below 1, or both numbers.
    """
    for name, value in (("--workers", workers), ("--trials-per-device", trials_per_device)):
        if value is not None and value < 1:
            raise InputError(f"{name}: must be 1 or more, but got {value}")
    if workers is not None and trials_per_device is not None:
        raise InputError(
            "--workers and --trials-per-device both say how many trainings run at once; give one"
        )
    places = [pick_device(name.strip()) for name in devices.split(",")]
    count = workers or len(places) * (trials_per_device or 1)
    return list(itertools.islice(itertools.cycle(places), count))


def worker_threads(workers: int) -> int:
    """An equal share of the threads that torch would take, at least one."""
    return max(1, torch.get_num_threads() // workers)
