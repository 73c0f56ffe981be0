"""Cores and memory, from the files in which Linux shows the limits of a container."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ir2search import machine

Write = Callable[[str, str], None]
needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system has no affinity"
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file below a folder that stands for the root of the file system."""
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)

    def write(name: str, content: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    return write


def test_without_limits_all_cores_count(write: Write) -> None:
    assert machine.cores() == 16
    assert machine.free_memory() is None


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 16), ("250000 100000", 2), ("50000 100000", 1)]
)
def test_a_quota_of_version_2_limits_the_cores(write: Write, quota: str, cores: int) -> None:
    write("proc/self/cgroup", "0::/\n")
    write("sys/fs/cgroup/cpu.max", quota + "\n")
    assert machine.cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 16), ("400000", 4)])
def test_a_quota_of_version_1_limits_the_cores(write: Write, quota: str, cores: int) -> None:
    write("proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n")
    write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", quota)
    write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000")
    assert machine.cores() == cores


def test_the_smallest_limit_of_all_groups_holds(write: Write) -> None:
    """The limit of a batch system is in a group above that of the job."""
    write("proc/self/cgroup", "0::/batch/job\n")
    write("sys/fs/cgroup/batch/job/cpu.max", "800000 100000")
    write("sys/fs/cgroup/batch/cpu.max", "300000 100000")
    assert machine.cores() == 3


def test_free_memory_is_what_the_system_and_the_container_leave(write: Write) -> None:
    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert machine.free_memory() == 8000 * 1024
    write("proc/self/cgroup", "0::/\n")
    write("sys/fs/cgroup/memory.max", "4000000")
    write("sys/fs/cgroup/memory.current", "3000000")
    write("sys/fs/cgroup/memory.stat", "anon 2000000\ninactive_file 500000\n")
    assert machine.free_memory() == 1_500_000
    write("sys/fs/cgroup/memory.max", "max")
    assert machine.free_memory() == 8000 * 1024


def test_the_limit_of_memory_in_version_1(write: Write) -> None:
    write("proc/self/cgroup", "5:memory:/job\n")
    write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4000000")
    write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000000")
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", str(0x7FFFFFFFFFFFF000))
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000000")
    assert machine.free_memory() == 3_000_000


@needs_affinity
def test_affinity_limits_the_cores_of_this_process() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)
