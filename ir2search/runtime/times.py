"""The time of a network on the runtime, as it is recorded, cached and compared."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ir2search.errors import InputError
from ir2search.files import read_json
from ir2search.runtime.graph import Graph
from ir2search.runtime.machine import Machine, this_machine
from ir2search.validation import checked


@dataclass(frozen=True)
class Timing:
    """Seconds of a call.

    Attributes:
        median: the median of all calls.
        low: the first quartile.
        high: the third quartile.
        calls: number of timed calls.
    """

    median: float
    low: float
    high: float
    calls: int

    @property
    def noise(self) -> float:
        """Distance between the quartiles, divided by the median."""
        return (self.high - self.low) / self.median

    def differs(self, other: Timing) -> bool:
        """Whether the ranges between the quartiles do not overlap; if they do, it is noise."""
        return self.low > other.high or self.high < other.low


@dataclass(frozen=True)
class Setting:
    """How the runtime runs a network.

    Attributes:
        threads: number of threads.
        batch: images per call.
    """

    threads: int = 1
    batch: int = 1


@dataclass(frozen=True)
class RuntimeTime:
    """The time of a network on the runtime.

    Attributes:
        timing: seconds of a call, uncorrected.
        pace: the time of the reference network, timed in turn with this one, divided by its first
            time on this machine; above 1 if other work slowed the machine down.
        setting: threads and batch.
        machine: the processor and the runtime.
        attempts: how often it was timed; the attempt with the least noise counts.
    """

    timing: Timing
    pace: float
    setting: Setting
    machine: Machine
    attempts: int

    @property
    def per_image(self) -> Timing:
        """Seconds per image, divided by the pace. Compare networks by this value."""
        scale = self.pace * self.setting.batch
        timing = self.timing
        return Timing(timing.median / scale, timing.low / scale, timing.high / scale, timing.calls)

    def as_dict(self) -> dict[str, Any]:
        """All fields as values for JSON, times in seconds."""
        return asdict(self)


def read_time(file: Path) -> RuntimeTime | None:
    """Read a file with `RuntimeTime.as_dict`; None if it is missing or damaged."""
    try:
        values = read_json(file)
        machine = asdict(Machine.from_dict(values["machine"]))
        found = checked({**values, "machine": machine}, RuntimeTime, file)
    except (InputError, TypeError, KeyError):
        return None
    return found if found.timing.median > 0 and found.pace > 0 else None


def cached_time(graph: Graph, setting: Setting, cache: Path) -> RuntimeTime | None:
    """The time of a network with the same architecture on this machine, or None if unknown."""
    return read_time(cached_file(graph, setting, cache))


def cached_file(graph: Graph, setting: Setting, cache: Path) -> Path:
    """The file in ``cache`` with the time of this architecture on this machine."""
    return cache / f"{time_key(graph, setting)}.json"


def time_key(graph: Graph, setting: Setting) -> str:
    """A digest of all that a time depends on: architecture, setting and machine."""
    parts = architecture(graph), asdict(setting), asdict(this_machine())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def architecture(graph: Graph) -> str:
    """A digest of operations, their numbers and the shapes of tensors.

    Names of layers and values of tensors do not count. Networks that differ only in their training
    or in the threshold of the restriction have the same architecture.
    """
    nodes = [
        (
            *(node.op, node.inputs, sorted(node.numbers.items())),
            sorted((role, str(each.dtype), each.shape) for role, each in node.tensors.items()),
        )
        for node in graph.nodes
    ]
    return hashlib.sha256(repr((graph.image, nodes)).encode()).hexdigest()[:16]
