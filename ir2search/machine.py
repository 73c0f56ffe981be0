"""The cores and the memory that this process may use.

A container or a batch system limits both through control groups of the Linux kernel, in version 1
or 2. The limits of the process's own group and of all groups above it apply.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
GROUPS = Path("sys/fs/cgroup")
UNLIMITED = 1 << 60  # bytes; version 1 writes a number of this size for no limit


def cores() -> int:
    """Number of cores that affinity and the container's quota allow this process."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([allowed or 1, *_quotas()])))


def free_memory() -> int | None:
    """Bytes of memory that new processes can take; None if this system does not report it."""
    known = [*_free_in_groups(), *_free_in_system()]
    return max(0, min(known)) if known else None


def _quotas() -> Iterator[float]:
    """The cores of each limited group; they can be fractions."""
    for folder in _groups("cpu"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if not period:
            quota, period = (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period):  # not "max" or -1
            yield int(quota) / int(period)


def _free_in_groups() -> Iterator[int]:
    """Free bytes of each limited group, with its cache of files, which the kernel can free."""
    for folder in _groups("memory"):
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            values = _text(folder / limit), _text(folder / used)
            if all(value.isdigit() for value in values) and int(values[0]) < UNLIMITED:
                yield int(values[0]) - int(values[1]) + _cache_of_files(folder)


def _cache_of_files(folder: Path) -> int:
    rows = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
    return int(rows.get("total_inactive_file", rows.get("inactive_file", 0)))


def _free_in_system() -> Iterator[int]:
    for line in _text(ROOT / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control groups, each from its own up to the root."""
    for line in _text(ROOT / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = ROOT / GROUPS / names  # version 2 has no names
        own = root / path.lstrip("/")
        yield from (each for each in (own, *own.parents) if each.is_relative_to(root))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
