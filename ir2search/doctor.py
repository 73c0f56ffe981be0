"""What this machine has for a study, what is in its way, and what would make it faster."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from ir2search import text
from ir2search.errors import InputError

State = Literal["good", "slow", "wrong", "absent"]
DISK = 2e9  # bytes that a study of a hundred small networks may take
OPTIONAL = {  # packages by what they are for, with the extra that brings them
    "optuna-dashboard": ("`ir2search dashboard`", "dashboard"),
    "ray": ("--executor ray", "cluster"),
    "psycopg": ("--storage postgresql+psycopg://", "cluster"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what.
        state: ``"good"``; ``"slow"`` where training could be faster; ``"wrong"`` where a study
            cannot run; ``"absent"`` for an optional part that is not there.
        found: what there is.
        advice: what to do about it; empty where there is nothing to do.
    """

    subject: str
    state: State
    found: str
    advice: str = ""


def examine(data: str | Path | None = None, runs: str | Path = "runs") -> list[Finding]:
    """Look at this machine.

    Args:
        data: a folder of images to read, all of it.
        runs: the folder that runs would be written to.
    """
    looks: list[Callable[[], Iterator[Finding]]] = [
        _versions,
        _threads,
        _kernels,
        _devices,
        _memory,
        lambda: _disk(Path(runs)),
        lambda: _data(data),
        _optional,
    ]
    return [finding for look in looks for finding in look()]


def _versions() -> Iterator[Finding]:
    parts = [f"{name} {version(name)}" for name in ("ir2search", "torch", "optuna", "fvcore")]
    yield Finding("versions", "good", ", ".join([f"Python {platform.python_version()}", *parts]))


def _threads() -> Iterator[Finding]:
    import torch

    cores, threads = _cores(), torch.get_num_threads()
    found = f"{threads} threads on {cores} cores"
    if threads < cores:
        advice = "unset OMP_NUM_THREADS, or give --workers to train several networks at once"
        yield Finding("threads", "slow", found, advice)
    elif cores > 4:
        advice = f"small networks leave cores idle: --workers {cores // 2} trains more an hour"
        yield Finding("threads", "slow", found, advice)
    else:
        yield Finding("threads", "good", found)


def _kernels() -> Iterator[Finding]:
    """Whether the CPU kernels compile, which is tried."""
    from ir2search.kernels import training as kernels

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled = kernels.library() is not None
    if compiled:
        yield Finding("CPU kernels", "good", "compiled for this CPU")
        return
    reason = str(caught[-1].message) if caught else "they could not be compiled"
    advice = "install a C++ compiler with OpenMP: trainings on a CPU are several times faster"
    yield Finding("CPU kernels", "slow", reason, advice)


def _devices() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            found = f"{properties.name}, {text.size(properties.total_memory)}"
            advice = "small networks fill a part of it: --trials-per-device 4"
            yield Finding(f"cuda:{index}", "good", found, advice)
    elif shutil.which("nvidia-smi"):
        advice = "install a build of torch for CUDA, or mend the driver"
        found = f"there is a driver, which torch {torch.__version__} cannot use"
        yield Finding("GPU", "slow", found, advice)
    else:
        yield Finding("GPU", "absent", "none: trainings run on the CPU")


def _memory() -> Iterator[Finding]:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return
    advice = "stream = true in [data] keeps images on disk" if total < 4e9 else ""
    yield Finding("memory", "slow" if advice else "good", text.size(total), advice)


def _disk(runs: Path) -> Iterator[Finding]:
    """Whether runs can be written, which is tried without making their folder."""
    folder = next(path for path in (runs.resolve(), *runs.resolve().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    found = f"{text.size(free)} free in {folder}"
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        advice = "give a folder that can be written with --runs"
        yield Finding("disk", "wrong", f"{folder} cannot be written: {error.strerror}", advice)
        return
    if free < DISK:
        yield Finding("disk", "slow", found, "a study may take 2 GB: make room, or give --runs")
    else:
        yield Finding("disk", "good", found)


def _data(folder: str | Path | None) -> Iterator[Finding]:
    from ir2search.data import DataConfig, load_data

    if folder is None:
        yield Finding("data", "good", "digits, which come along", "--data FOLDER looks at yours")
        return
    with tempfile.TemporaryDirectory() as cache:
        try:
            data = load_data(DataConfig(source="folder"), Path(folder), Path(cache), 0)
            test = len(data.read_test())
        except InputError as error:
            yield Finding("data", "wrong", str(error))
            return
    channels, height, width = data.image
    counts = f"{len(data.train) + len(data.validation):,} training, {test:,} test"
    found = f"{counts} images of {channels} x {height} x {width}, {data.classes} classes"
    yield Finding("data", "good", found)


def _optional() -> Iterator[Finding]:
    for package, (purpose, extra) in OPTIONAL.items():
        try:
            yield Finding(package, "good", f"{version(package)}, for {purpose}")
        except PackageNotFoundError:
            advice = f"pip install 'ir2search[{extra}]'"
            yield Finding(package, "absent", f"only for {purpose}", advice)
    if importlib.util.find_spec("fcntl") is None:
        yield Finding("locks", "good", "of Windows; several drivers need a shared file system")


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
