"""The time of a network on the runtime as a value: what is recorded, cached and compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ir2search.runtime.graph import Graph, Node
from ir2search.runtime.machine import Machine, this_machine


@dataclass(frozen=True)
class Timing:
    """Seconds of a call.

    Attributes:
        median: the median of all calls.
        low: the first quartile.
        high: the third quartile.
        calls: how many calls were timed.
    """

    median: float
    low: float
    high: float
    calls: int

    @property
    def noise(self) -> float:
        """The distance between the quartiles, as a share of the median."""
        return (self.high - self.low) / self.median

    def differs(self, other: Timing) -> bool:
        """Whether the ranges between the quartiles do not overlap; less is within the noise."""
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
        timing: seconds of a call, as measured.
        pace: the time of the reference network in the same turns, as a multiple of its first time
            on this machine; above 1 where other work slowed the machine down.
        setting: how the network was run.
        machine: where it was run.
        attempts: how often it was timed; the attempt with the least noise counts.
    """

    timing: Timing
    pace: float
    setting: Setting
    machine: Machine
    attempts: int

    @property
    def per_image(self) -> Timing:
        """Seconds per image, divided by the pace. This is the value that is compared."""
        scale = self.pace * self.setting.batch
        timing = self.timing
        return Timing(timing.median / scale, timing.low / scale, timing.high / scale, timing.calls)

    def as_dict(self) -> dict[str, Any]:
        """All fields in values that JSON can hold; times in seconds."""
        return asdict(self)


def read_time(file: Path) -> RuntimeTime | None:
    """Read a file with `RuntimeTime.as_dict`; None where it is missing or damaged."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return RuntimeTime(
            Timing(**values["timing"]),
            values["pace"],
            Setting(**values["setting"]),
            Machine.from_dict(values["machine"]),
            values["attempts"],
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def cached_time(graph: Graph, setting: Setting, cache: Path) -> RuntimeTime | None:
    """The time of a network with the same architecture on this machine, or None if unknown."""
    return read_time(cached_file(graph, setting, cache))


def cached_file(graph: Graph, setting: Setting, cache: Path) -> Path:
    """The file in ``cache`` with the time of this architecture on this machine."""
    return cache / f"{time_key(graph, setting)}.json"


def time_key(graph: Graph, setting: Setting) -> str:
    """A digest of everything that a time depends on: architecture, setting and machine."""
    parts = architecture(graph), asdict(setting), asdict(this_machine())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def architecture(graph: Graph) -> str:
    """A digest of what the time of a network depends on: operations, numbers, shapes of tensors.

    Names of layers and values of tensors do not count. Networks that differ only in their training
    or in the restriction's threshold, which the runtime does not run, have the same architecture.
    """
    nodes = [_architecture(node) for node in graph.nodes]
    return hashlib.sha256(repr((graph.image, nodes)).encode()).hexdigest()[:16]


def _architecture(node: Node) -> tuple[object, ...]:
    shapes = [(role, str(tensor.dtype), tensor.shape) for role, tensor in node.tensors.items()]
    return node.op, node.inputs, sorted(node.numbers.items()), sorted(shapes)
