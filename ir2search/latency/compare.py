"""`latency`: the time of a network on the runtime and on others, by threads and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ir2search import text
from ir2search.errors import InputError
from ir2search.export import candidate_graph
from ir2search.latency.clock import time_in_turns
from ir2search.latency.other_runtimes import OTHER_RUNTIMES, float_twin
from ir2search.runtime import Graph, PackedNetwork, Timing, read_packed
from ir2search.runtime.packed import PACKED
from ir2search.space import Candidate
from ir2search.zoo import named_candidate
from ir2search.zoo.onnx_file import Forward

MAX_VALUES = 2**28  # in a batch of images: 1 GiB
MOST_THREADS = 1024
OWN_RUNTIME = "runtime"  # this package's, at 1 bit
RUNTIMES = (OWN_RUNTIME, *OTHER_RUNTIMES)
LAYER_CALLS = 15  # the time of a layer is their median
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LatencyRow:
    """The time of a network on one runtime, with one number of threads and images.

    Attributes:
        runtime: one of `RUNTIMES`.
        threads: number of threads.
        batch: images per call.
        timing: time of a call, in seconds.
    """

    runtime: str
    threads: int
    batch: int
    timing: Timing


@dataclass(frozen=True)
class LayerTime:
    """The time of one pass of the runtime over feature maps.

    Attributes:
        name: name of the first layer in the pass.
        kind: kind of this layer: binary_conv, conv, pointwise, pooling, ...
        threads: number of threads.
        batch: images per call.
        seconds: median time of a call.
    """

    name: str
    kind: str
    threads: int
    batch: int
    seconds: float


@dataclass(frozen=True)
class Latency:
    """The times of one network, which took turns in one process.

    Attributes:
        name: name of the network.
        rows: times by runtime, threads and batch.
        layers: times by layer on the runtime; empty if the runtime was not timed.
    """

    name: str
    rows: tuple[LatencyRow, ...]
    layers: tuple[LayerTime, ...] = ()

    def fastest(self, threads: int, batch: int) -> list[str]:
        """The fastest runtime, and each runtime that is as fast within the noise."""
        rows = [row for row in self.rows if (row.threads, row.batch) == (threads, batch)]
        best = min(rows, key=lambda row: row.timing.median)
        return [row.runtime for row in rows if not row.timing.differs(best.timing)]

    def as_dict(self) -> dict[str, Any]:
        """All fields as values for JSON; times in seconds."""
        values = asdict(self)
        for row in values["rows"]:
            row.update(row.pop("timing"))
        return values


def latency(
    what: str | Candidate,
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    runtimes: Sequence[str] = RUNTIMES,
    seconds: float = 2.0,
    on_step: OnStep = lambda runtime, threads, batch: None,
) -> Latency:
    """Time a network at 1 bit, and its float32 form on other runtimes, in one process.

    ``"runtime"`` runs the network as `ir2search.load_packed` does. The float32 form has
    full-precision convolutions in place of the binary ones, no signs, and random weights: it is
    the same network without binarisation. ``"onnxruntime"`` runs it in float32, ``"int8"`` on
    onnxruntime with 8-bit weights and activations, and ``"torch"`` as torch compiles it, which
    takes about a minute for each batch and number of threads.

    Args:
        what: a candidate, a preset's name, a ``candidate.json``, a trial's folder, or a packed
            file of `ir2search export`.
        threads: numbers of threads.
        batches: numbers of images per call.
        runtimes: some of `RUNTIMES`.
        seconds: time to spend on each runtime, batch and number of threads.
        on_step: called with runtime, threads and batch before a runtime is prepared.

    Returns:
        A row for each runtime, batch and number of threads.

    Raises:
        InputError: a network or runtime is unknown, or a number is below 1 or too large.
        MissingExtraError: a package that a runtime needs is not installed.
    """
    _check(threads, batches, runtimes)
    candidate, graph = _network(what, OWN_RUNTIME in runtimes)
    name = what if isinstance(what, str) else candidate.id
    rows: list[LatencyRow] = []
    layers: list[LayerTime] = []
    for batch in batches:
        images = _images(candidate, batch)
        for count in threads:
            with _torch_threads(count):
                calls = {}
                for runtime in runtimes:
                    on_step(runtime, count, batch)
                    calls[runtime] = partial(_forward(runtime, candidate, graph, count), images)
                found = time_in_turns(calls, seconds=seconds)
                if graph is not None:
                    layers += _layer_times(graph, images, count)
            rows += [LatencyRow(runtime, count, batch, timing) for runtime, timing in found.items()]
    return Latency(name, tuple(rows), tuple(layers))


def _network(what: str | Candidate, with_graph: bool) -> tuple[Candidate, Graph | None]:
    """The candidate, and its graph for the runtime; weights do not change the time."""
    candidate = what if isinstance(what, Candidate) else named_candidate(what)
    if not with_graph:
        return candidate, None
    if isinstance(what, str) and Path(what).suffix == PACKED:
        return candidate, read_packed(Path(what))
    return candidate, candidate_graph(candidate)


def _forward(runtime: str, candidate: Candidate, graph: Graph | None, threads: int) -> Forward:
    """The network on this package's runtime, or its float32 form on another one."""
    if runtime == OWN_RUNTIME and graph is not None:
        return PackedNetwork(graph, threads).logits
    return OTHER_RUNTIMES[runtime](float_twin(candidate), candidate.image, threads)


def _layer_times(graph: Graph, images: np.ndarray, threads: int) -> list[LayerTime]:
    network = PackedNetwork(graph, threads)
    network.seconds_by_unit(images)
    medians = np.median([network.seconds_by_unit(images) for _ in range(LAYER_CALLS)], axis=0)
    return [
        LayerTime(unit.name, unit.kind, threads, len(images), float(seconds))
        for unit, seconds in zip(network.units, medians, strict=True)
    ]


def _images(candidate: Candidate, batch: int) -> np.ndarray:
    values = batch * int(np.prod(candidate.image))
    if values > MAX_VALUES:
        raise InputError(f"`batches`: {batch} images are {values:,} values; at most {MAX_VALUES:,}")
    generator = np.random.default_rng(0)
    return generator.standard_normal((batch, *candidate.image), dtype=np.float32)


def _check(threads: Sequence[int], batches: Sequence[int], runtimes: Sequence[str]) -> None:
    for name, numbers in (("threads", threads), ("batches", batches)):
        if not numbers or min(numbers) < 1:
            given = ", ".join(map(str, numbers)) or "none"
            raise InputError(f"`{name}` must be whole numbers of at least 1, but got {given}")
    if max(threads) > MOST_THREADS:
        raise InputError(f"`threads` must be at most {MOST_THREADS}, but got {max(threads)}")
    for runtime in runtimes:
        if runtime not in RUNTIMES:
            raise InputError(
                f"`runtimes`: unknown runtime {runtime!r}; {text.suggest(runtime, RUNTIMES)}"
            )
    if not runtimes:
        raise InputError(f"`runtimes` must name at least one of {', '.join(RUNTIMES)}")


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
