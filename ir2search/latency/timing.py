"""Time a network on the runtime: alone on the machine, once for each architecture."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from filelock import FileLock
from pydantic import Field

from ir2search.errors import InputError
from ir2search.files import read_json, write_json
from ir2search.latency.clock import time_in_turns
from ir2search.latency.reference import reference_network
from ir2search.runtime import (
    Graph,
    PackedNetwork,
    RuntimeTime,
    Setting,
    Timing,
    cached_time,
    this_machine,
)
from ir2search.runtime.times import cached_file, time_key
from ir2search.validation import checked

SECONDS = 0.3  # for the network, and again for the reference, in each attempt
ATTEMPTS = 3
NOISY = 0.05  # noise above which the network is timed again
NETWORK, REFERENCE = "network", "reference"
ONE_THREAD = Setting()  # and one image
FIRST_ATTEMPTS = 5  # to time the reference alone; the fastest one counts

Pause = Callable[[], AbstractContextManager[object]]


def time_on_runtime(
    graph: Graph,
    setting: Setting = ONE_THREAD,
    cache: Path | None = None,
    *,
    paused: Pause = nullcontext,
) -> RuntimeTime:
    """Time a network on the runtime, or take the cached time of the same architecture.

    Only one process of a user times at a time, even if several studies run. The images are random.
    If a time is noisy, the network is timed again: up to three attempts of 0.3 s each. The network
    takes turns with a reference network that is always the same. Other work on the machine slows
    both, so times are compared after division by the pace of the reference, see
    `RuntimeTime.per_image`.

    Args:
        graph: the network; its weights do not change the time.
        setting: threads and images per call.
        cache: a folder for times; None keeps no time and uses a pace of 1.
        paused: returns a context in which other work pauses; it is entered while timing.

    Raises:
        MissingCompilerError: the runtime is not compiled yet, and cannot be.
    """
    known = None if cache is None else cached_time(graph, setting, cache)
    if known is not None:
        return known
    with FileLock(_lock_file()):
        if cache is not None and (known := cached_time(graph, setting, cache)) is not None:
            return known  # another process had the lock and timed it
        with paused():
            timing, reference_seconds, attempts = _time(graph, setting)
            pace = 1.0 if cache is None else reference_seconds / _first_seconds(setting, cache)
        found = RuntimeTime(timing, pace, setting, this_machine(), attempts)
        if cache is not None:
            write_json(cached_file(graph, setting, cache), found.as_dict())
    return found


def _lock_file() -> Path:
    """A lock for all processes of a user on this machine, on a local disk."""
    user = getattr(os, "getuid", lambda: 0)()
    return Path(tempfile.gettempdir()) / f"ir2search-timing-{user}.lock"


def _time(graph: Graph, setting: Setting) -> tuple[Timing, float, int]:
    """The time of a call, the seconds of the reference in the same turns, and the attempts."""
    calls = {NETWORK: _call(graph, setting), REFERENCE: _reference_call(setting)}
    found: list[dict[str, Timing]] = []
    while not found or (
        len(found) < ATTEMPTS and min(each[NETWORK].noise for each in found) > NOISY
    ):
        found.append(time_in_turns(calls, seconds=SECONDS))
    best = min(found, key=lambda each: each[NETWORK].noise)
    return best[NETWORK], best[REFERENCE].median, len(found)


def _first_seconds(setting: Setting, cache: Path) -> float:
    """Seconds of the reference when the cache was new: the fastest of `FIRST_ATTEMPTS`."""
    key = time_key(reference_network(), Setting(setting.threads))
    file = cache / f"{REFERENCE}-{key}.json"
    try:
        return checked(read_json(file), _First, file).seconds
    except InputError:
        calls = {REFERENCE: _reference_call(setting)}
        attempts = (time_in_turns(calls, seconds=SECONDS) for _ in range(FIRST_ATTEMPTS))
        seconds = min(attempt[REFERENCE].median for attempt in attempts)
        write_json(file, {"seconds": seconds, **asdict(this_machine())})
        return seconds


@dataclass(frozen=True)
class _First:
    seconds: Annotated[float, Field(gt=0)]


def _reference_call(setting: Setting) -> Callable[[], object]:
    return _call(reference_network(), Setting(setting.threads))


def _call(graph: Graph, setting: Setting) -> Callable[[], object]:
    network = PackedNetwork(graph, setting.threads)
    generator = np.random.default_rng(0)
    images = generator.standard_normal((setting.batch, *network.image), dtype=np.float32)
    return lambda: network.logits(images)
