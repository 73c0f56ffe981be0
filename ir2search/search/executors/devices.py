"""The device of each worker, and how many workers this machine has room for."""

from __future__ import annotations

import itertools
from typing import Literal

import torch

from ir2search.costs import cost
from ir2search.data import ImageData, Split
from ir2search.errors import InputError
from ir2search.machine import cores, free_memory
from ir2search.study.schema import Study
from ir2search.study.survey import largest
from ir2search.training import pick_device

PROCESS = 600e6  # bytes of a worker process with torch, without images and network
VALUE = 25  # bytes that a training takes for each operation of a BatchNorm on an image
PARAMETER = 20  # bytes: the parameter, its gradient, two moments of the optimiser, a copy
MOST_WORKERS = 1024

Workers = int | Literal["auto"] | None  # "auto": see `with_fitting_workers`


def worker_devices(
    devices: str, workers: Workers = None, trials_per_device: int | None = None
) -> list[torch.device]:
    """The device of each worker.

    Args:
        devices: names of devices, separated by commas, as `pick_device` takes them.
        workers: number of workers; one for each device if None or ``"auto"``.
        trials_per_device: number of workers on each device, instead of ``workers``.

    Returns:
        One device for each worker; workers take the devices in turn.

    Raises:
        InputError: a device is missing here, a number is out of range, or both numbers are given.
    """
    workers = None if workers == "auto" else workers
    for name, value in (("workers", workers), ("trials_per_device", trials_per_device)):
        if value is not None and not 1 <= value <= MOST_WORKERS:
            raise InputError(f"{name}: must be from 1 to {MOST_WORKERS}, but got {value}")
    if workers is not None and trials_per_device is not None:
        raise InputError(
            "workers and trials_per_device: both say how many trainings run at once; give only one"
        )
    places = [pick_device(name.strip()) for name in devices.split(",")]
    count = workers or len(places) * (trials_per_device or 1)
    return list(itertools.islice(itertools.cycle(places), count))


def with_fitting_workers(
    devices: list[torch.device], workers: Workers, study: Study, data: ImageData, most: int
) -> list[torch.device]:
    """The devices of all workers: with ``"auto"`` on the CPU alone, of `fitting_workers`."""
    if workers != "auto" or devices != [torch.device("cpu")]:
        return devices
    return devices * fitting_workers(study, data, most)


def fitting_workers(study: Study, data: ImageData, most: int) -> int:
    """Number of workers that train on this machine's CPU, from 1 to ``most``.

    There is one for each core, if memory allows. Images that are not streamed are in the memory of
    each worker.
    """
    room, need = free_memory(), memory_of_worker(study, data)
    fitting = most if room is None else int(room // need)
    return max(1, min(most, study.trials, cores(), fitting))


def memory_of_worker(study: Study, data: ImageData) -> float:
    """An upper estimate of the memory of a worker, in bytes.

    Measured for networks from 16 x 16 digits to ImageNet's ResNet-18, rounded up.
    """
    splits = [each for each in (data.train, data.validation) if isinstance(each, Split)]
    images = 2 * sum(split.images.nbytes for split in splits)
    candidate = largest(study.space.with_data(data.image, data.classes))
    if candidate is None:
        return PROCESS + images
    price = cost(candidate)
    maps = VALUE * price.others.get("batch_norm", 0) * study.recipe.batch_size
    return PROCESS + images + maps + PARAMETER * price.parameters
