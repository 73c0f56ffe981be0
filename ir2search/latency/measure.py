"""What the engine takes for a network: measured alone on the machine, once an architecture."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ir2search import runtime as engine
from ir2search.files import write_json
from ir2search.latency.clock import Timing, timed
from ir2search.latency.machine import Machine, this_machine
from ir2search.latency.reference import reference
from ir2search.runtime import Graph

SECONDS = 0.3  # that one attempt times for, the network and the reference each, warm-up aside
ATTEMPTS = 3
WIDE = 0.05  # noise above which it is tried again
REFERENCE = "reference"
FIRST = 5  # attempts at the reference alone, of which the fastest is the machine's pace

Quiet = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Setting:
    """How the engine is run.

    Attributes:
        threads: that it may use.
        batch: images a call.
    """

    threads: int = 1
    batch: int = 1


@dataclass(frozen=True)
class EngineTime:
    """What the engine takes for a network.

    Attributes:
        timing: seconds of a call, as measured.
        pace: how many times longer than at first the reference took in the same turns: above 1
            where something slowed the machine down.
        setting: how it was run.
        machine: where.
        attempts: how often it was timed for the quartiles to come near each other; the attempt
            with the nearest counts.
    """

    timing: Timing
    pace: float
    setting: Setting
    machine: Machine
    attempts: int

    @property
    def an_image(self) -> Timing:
        """Seconds of an image's share of a call at the machine's own pace: what is compared."""
        scale = self.pace * self.setting.batch
        timing = self.timing
        return Timing(timing.median / scale, timing.low / scale, timing.high / scale, timing.calls)

    def as_dict(self) -> dict[str, Any]:
        """In values that JSON can hold; times in seconds."""
        return asdict(self)


def read_time(file: Path) -> EngineTime | None:
    """What `EngineTime.as_dict` wrote; None where that is missing or damaged."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return EngineTime(
            Timing(**said["timing"]),
            said["pace"],
            Setting(**said["setting"]),
            Machine(**said["machine"]),
            said["attempts"],
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def cached_time(graph: Graph, setting: Setting, cache: Path) -> EngineTime | None:
    """What a network with the same architecture took on this machine, where that is known."""
    return read_time(cache / f"{_key(graph, setting)}.json")


def engine_time(
    graph: Graph,
    setting: Setting = Setting(),
    cache: Path | None = None,
    *,
    quiet: Quiet = nullcontext,
) -> EngineTime:
    """Time a network on the engine, or take the time of one with the same architecture.

    One process of a user measures at a time, whichever study it works for. Random images; wide
    quartiles are measured again, up to three times, for 0.3 s each. Turn by turn with the network a
    reference is timed, which is always the same: other work that slows both for as long as it lasts
    shows there, and what is compared is the time over the pace, see `EngineTime`.

    Args:
        graph: the network; the values of its weights do not matter.
        setting: how it is run.
        cache: a folder of times that were measured before; nothing is kept where left out.
        quiet: entered while measuring, to keep what else goes on from disturbing.
    """
    known = None if cache is None else cached_time(graph, setting, cache)
    if known is not None:
        return known
    with FileLock(_lock()):
        if cache is not None and (known := cached_time(graph, setting, cache)) is not None:
            return known  # measured by the one who had the lock
        with quiet():
            timing, beside, attempts = _measured(graph, setting)
            pace = beside / _first(setting, cache) if cache is not None else 1.0
        found = EngineTime(timing, pace, setting, this_machine(), attempts)
        if cache is not None:
            write_json(cache / f"{_key(graph, setting)}.json", found.as_dict())
    return found


def _lock() -> Path:
    """One for all of a user's processes on this machine, on its own disk."""
    user = getattr(os, "getuid", lambda: 0)()
    return Path(tempfile.gettempdir()) / f"ir2search-timing-{user}.lock"


def _measured(graph: Graph, setting: Setting) -> tuple[Timing, float, int]:
    """Seconds of a call, those of the reference in the same turns, and after how many attempts."""
    ways = {"": _call(graph, setting), REFERENCE: _call(reference(), Setting(setting.threads))}
    found: list[dict[str, Timing]] = []
    while not found or (len(found) < ATTEMPTS and min(f[""].noise for f in found) > WIDE):
        found.append(timed(ways, seconds=SECONDS))
    best = min(found, key=lambda each: each[""].noise)
    return best[""], best[REFERENCE].median, len(found)


def _first(setting: Setting, cache: Path) -> float:
    """Seconds of the reference when it was first timed for a cache, at its fastest."""
    file = cache / f"{REFERENCE}-{_key(reference(), Setting(setting.threads))}.json"
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, TypeError, KeyError):
        way = {REFERENCE: _call(reference(), Setting(setting.threads))}
        seconds = min(timed(way, seconds=SECONDS)[REFERENCE].median for _ in range(FIRST))
        write_json(file, {"seconds": seconds, **asdict(this_machine())})
        return seconds


def _call(graph: Graph, setting: Setting) -> Callable[[], object]:
    network = engine.PackedNetwork(graph, setting.threads)  # only now: it compiles
    generator = np.random.default_rng(0)
    images = generator.standard_normal((setting.batch, *network.image), dtype=np.float32)
    return lambda: network.logits(images)


def _key(graph: Graph, setting: Setting) -> str:
    parts = architecture(graph), asdict(setting), asdict(this_machine())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def architecture(graph: Graph) -> str:
    """A digest of what a network's time depends on: operations, their numbers, tensors' shapes.

    Names of layers and values of tensors are not in it: networks that differ in how they are
    trained, or in the threshold of the restriction, which the engine does not run, share it.
    """
    nodes = [
        (
            node.op,
            node.inputs,
            sorted(node.numbers.items()),
            sorted(
                (role, str(tensor.dtype), tensor.shape) for role, tensor in node.tensors.items()
            ),
        )
        for node in graph.nodes
    ]
    return hashlib.sha256(repr((graph.image, nodes)).encode()).hexdigest()[:16]
