"""`latency`: how long a network takes in several ways, by threads and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ir2search import text
from ir2search.errors import InputError
from ir2search.latency.clock import Timing, timed
from ir2search.latency.rivals import RIVALS, float_twin
from ir2search.space import Candidate
from ir2search.zoo import named_candidate

LARGEST = 2**28  # values in a batch of images: 1 GiB
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measured:
    """One way to run a network, with so many threads on so many images at once.

    Attributes:
        way: one of `RIVALS`.
        threads: it may use.
        batch: images a call.
        timing: of a call.
    """

    way: str
    threads: int
    batch: int
    timing: Timing


@dataclass(frozen=True)
class Latency:
    """What was measured of one network, all in one process and turn by turn."""

    name: str
    rows: tuple[Measured, ...]

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
        return {"name": self.name, "rows": rows}


def latency(
    what: str | Candidate,
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    ways: Sequence[str] = tuple(RIVALS),
    seconds: float = 2.0,
    on_step: OnStep = lambda what, threads, batch: None,
) -> Latency:
    """Time a network's float32 form in several ways, in one process.

    The form has full-precision convolutions in place of the binary ones and no signs, and random
    weights: what the network would take without binarisation. ``"onnxruntime"`` is float32,
    ``"int8"`` onnxruntime on 8-bit weights and activations, ``"torch"`` what torch compiles, which
    takes about a minute for each batch and number of threads.

    Args:
        what: a candidate, a preset's name, a ``candidate.json`` or a trial's folder.
        threads: how many a way may use.
        batches: images a call.
        ways: some of `RIVALS`.
        seconds: to time each way for, for each batch and number of threads.
        on_step: told which way is made ready, and for how many threads and images.

    Raises:
        InputError: there is no such network or way, or numbers below 1 or too large.
    """
    _check(threads, batches, ways)
    candidate = what if isinstance(what, Candidate) else named_candidate(what)
    name = what if isinstance(what, str) else candidate.id
    rows: list[Measured] = []
    for batch in batches:
        images = _images(candidate, batch)
        for count in threads:
            with _threads_of_torch(count):
                found = _timed(candidate, images, count, ways, seconds, on_step)
            rows += [Measured(way, count, batch, timing) for way, timing in found.items()]
    return Latency(name, tuple(rows))


def _timed(
    candidate: Candidate,
    images: np.ndarray,
    threads: int,
    ways: Sequence[str],
    seconds: float,
    on_step: OnStep,
) -> dict[str, Timing]:
    network = float_twin(candidate)
    calls: dict[str, Callable[[], object]] = {}
    for way in ways:
        on_step(way, threads, len(images))
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
        if way not in RIVALS:
            raise InputError(f"no way {way!r} to run a network; {text.near(way, RIVALS)}")
    if not ways:
        raise InputError(f"no way to run a network was given; there are {', '.join(RIVALS)}")


@contextmanager
def _threads_of_torch(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
