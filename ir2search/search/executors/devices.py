"""The device of each worker."""

from __future__ import annotations

import itertools

import torch

from ir2search.errors import InputError
from ir2search.training import pick_device


def worker_devices(
    devices: str, workers: int | None = None, trials_per_device: int | None = None
) -> list[torch.device]:
    """The device of each worker.

    Args:
        devices: names of devices, separated by commas, as `pick_device` takes them.
        workers: number of workers; one for each device if None.
        trials_per_device: number of workers on each device, instead of ``workers``.

    Returns:
        One device for each worker; workers take the devices in turn.

    Raises:
        InputError: a device is missing here, a number is below 1, or both numbers are given.
    """
    for name, value in (("workers", workers), ("trials_per_device", trials_per_device)):
        if value is not None and value < 1:
            raise InputError(f"{name}: must be 1 or more, but got {value}")
    if workers is not None and trials_per_device is not None:
        raise InputError(
            "workers and trials_per_device: both say how many trainings run at once; give only one"
        )
    places = [pick_device(name.strip()) for name in devices.split(",")]
    count = workers or len(places) * (trials_per_device or 1)
    return list(itertools.islice(itertools.cycle(places), count))
