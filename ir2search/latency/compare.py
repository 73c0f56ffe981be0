"""`latency`: how long a network takes in several ways, by threads and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ir2search import text
from ir2search.errors import InputError
from ir2search.export import SUFFIXES, candidate_graph
from ir2search.latency.clock import Timing, timed
from ir2search.latency.rivals import RIVALS, Way, float_twin
from ir2search.runtime import Graph, PackedNetwork, read_about, read_packed
from ir2search.space import Candidate, candidate_from_dict
from ir2search.zoo import named_candidate

LARGEST = 2**28  # values in a batch of images: 1 GiB
ENGINE = "engine"  # ours, at 1 bit
WAYS = (ENGINE, *RIVALS)
LAYER_CALLS = 15  # of which the median counts
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measured:
    """One way to run a network, with so many threads on so many images at once.

    Attributes:
        way: one of `WAYS`.
        threads: it may use.
        batch: images a call.
        timing: of a call.
    """

    way: str
    threads: int
    batch: int
    timing: Timing


@dataclass(frozen=True)
class LayerTime:
    """A sweep of the engine over feature maps.

    Attributes:
        name: of the layer that it begins with.
        kind: of that layer: binary_conv, conv, pointwise, pooling, ...
        threads: it may use.
        batch: images a call.
        seconds: the median of a call.
    """

    name: str
    kind: str
    threads: int
    batch: int
    seconds: float


@dataclass(frozen=True)
class Latency:
    """What was measured of one network, all in one process and turn by turn.

    Attributes:
        name: of the network.
        rows: by way, threads and batch.
        layers: of the engine, where it was asked for.
    """

    name: str
    rows: tuple[Measured, ...]
    layers: tuple[LayerTime, ...] = ()

    def fastest(self, threads: int, batch: int) -> list[str]:
        """The fastest way and those that cannot be told from it within the noise."""
        rows = [row for row in self.rows if (row.threads, row.batch) == (threads, batch)]
        best = min(rows, key=lambda row: row.timing.median)
        return [row.way for row in rows if not row.timing.differs(best.timing)]

    def as_dict(self) -> dict[str, Any]:
        """In values that JSON can hold; times in seconds."""
        rows = [
            {"way": row.way, "threads": row.threads, "batch": row.batch, **asdict(row.timing)}
            for row in self.rows
        ]
        return {"name": self.name, "rows": rows, "layers": [asdict(row) for row in self.layers]}


def latency(
    what: str | Candidate,
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    ways: Sequence[str] = WAYS,
    seconds: float = 2.0,
    on_step: OnStep = lambda what, threads, batch: None,
) -> Latency:
    """Time a network at 1 bit, and its float32 form in several ways, in one process.

    ``"engine"`` runs the network as `ir2search.load_packed` does. The float32 form has
    full-precision convolutions in place of the binary ones and no signs, and random weights: what
    the network would take without binarisation. ``"onnxruntime"`` is float32, ``"int8"``
    onnxruntime on 8-bit weights and activations, ``"torch"`` what torch compiles, which takes about
    a minute for each batch and number of threads.

    Args:
        what: a candidate, a preset's name, a ``candidate.json``, a trial's folder, or a packed
            file of `ir2search export`.
        threads: how many a way may use.
        batches: images a call.
        ways: some of `WAYS`.
        seconds: to time each way for, for each batch and number of threads.
        on_step: told which way is made ready, and for how many threads and images.

    Raises:
        InputError: there is no such network or way, or numbers below 1 or too large.
    """
    _check(threads, batches, ways)
    candidate, graph = _network(what, ENGINE in ways)
    name = what if isinstance(what, str) else candidate.id
    rows: list[Measured] = []
    layers: list[LayerTime] = []
    for batch in batches:
        images = _images(candidate, batch)
        for count in threads:
            with _threads_of_torch(count):
                found = _timed(candidate, graph, images, count, ways, seconds, on_step)
                if graph is not None:
                    layers += _layer_times(graph, images, count)
            rows += [Measured(way, count, batch, timing) for way, timing in found.items()]
    return Latency(name, tuple(rows), tuple(layers))


def _network(what: str | Candidate, with_graph: bool) -> tuple[Candidate, Graph | None]:
    """The candidate, and what the engine runs of it: its weights' values do not matter to time."""
    if isinstance(what, str) and Path(what).suffix == SUFFIXES["packed"]:
        graph = read_packed(Path(what))
        about = read_about(Path(what)).get("candidate")
        if not isinstance(about, dict):
            raise InputError(f"{what}: does not say which candidate it is; export it again")
        return candidate_from_dict(about, what), graph if with_graph else None
    candidate = what if isinstance(what, Candidate) else named_candidate(what)
    if not with_graph:
        return candidate, None
    return candidate, candidate_graph(candidate)


def _layer_times(graph: Graph, images: np.ndarray, threads: int) -> list[LayerTime]:
    network = PackedNetwork(graph, threads)
    network.seconds_by_unit(images)
    taken = np.median([network.seconds_by_unit(images) for _ in range(LAYER_CALLS)], axis=0)
    return [
        LayerTime(unit.name, unit.kind, threads, len(images), float(seconds))
        for unit, seconds in zip(network.units, taken, strict=True)
    ]


def _timed(
    candidate: Candidate,
    graph: Graph | None,
    images: np.ndarray,
    threads: int,
    ways: Sequence[str],
    seconds: float,
    on_step: OnStep,
) -> dict[str, Timing]:
    network = float_twin(candidate) if set(ways) - {ENGINE} else None
    calls: dict[str, Callable[[], object]] = {}
    for way in ways:
        on_step(way, threads, len(images))
        if graph is not None and way == ENGINE:
            run: Way = PackedNetwork(graph, threads).logits
        else:
            assert network is not None
            run = RIVALS[way](network, candidate.image, threads)
        calls[way] = lambda run=run: run(images)  # type: ignore[misc]
    return timed(calls, seconds=seconds)


def _images(candidate: Candidate, batch: int) -> np.ndarray:
    values = batch * int(np.prod(candidate.image))
    if values > LARGEST:
        raise InputError(f"a batch of {batch} images is too large; {LARGEST:,} values may be")
    generator = np.random.default_rng(0)
    return generator.standard_normal((batch, *candidate.image), dtype=np.float32)


def _check(threads: Sequence[int], batches: Sequence[int], ways: Sequence[str]) -> None:
    for name, numbers in (("threads", threads), ("batch", batches)):
        if not numbers or min(numbers) < 1:
            given = ", ".join(map(str, numbers)) or "none"
            raise InputError(f"`{name}` must be whole numbers of at least 1, but got {given}")
    for way in ways:
        if way not in WAYS:
            raise InputError(f"no way {way!r} to run a network; {text.near(way, WAYS)}")
    if not ways:
        raise InputError(f"no way to run a network was given; there are {', '.join(WAYS)}")


@contextmanager
def _threads_of_torch(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
