"""A packed network that runs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ir2search.errors import DataError
from ir2search.runtime import kernels, layout
from ir2search.runtime.graph import Array, Graph
from ir2search.runtime.kernels import Floats
from ir2search.runtime.packed import read_packed
from ir2search.runtime.schedule import Unit, make_schedule
from ir2search.runtime.steps import Call, make_step
from ir2search.runtime.thread_pool import Crew

LARGEST_BATCH_BYTES = 2**34  # of maps; a larger batch is refused, not begun


class PackedNetwork:
    """A network out of a packed file, run at 1 bit on the CPU.

    The first network on a machine waits some seconds while its loops are compiled; they are kept
    on disk. It is not for several threads at once: give each its own.

    Args:
        graph: see `read_packed`.
        threads: how many share each operation.
    """

    def __init__(self, graph: Graph, threads: int = 1) -> None:
        self.graph = graph
        self.units: tuple[Unit, ...] = make_schedule(graph)
        self._steps = [make_step(graph, unit) for unit in self.units]
        self._crew = Crew(threads)
        self._batch = 0
        self._image: Floats = np.zeros(0, np.float32)
        self._logits: Floats = self._image
        self._calls: list[Call] = []

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        height, width, channels = self.graph.image
        return channels, height, width

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.graph.classes

    def logits(self, images: Array) -> Floats:
        """Logits of normalised images.

        Args:
            images: (N, C, H, W) float32, N at least 1.

        Returns:
            (N, classes) float32.

        Raises:
            DataError: the images are of another shape or dtype, or hold what is not finite.
        """
        self._take(images)
        for call in self._calls:
            self._crew.share(call.loop, call.count, call.arguments, call.seconds)
        return self._logits.copy()

    def seconds_by_unit(self, images: Array) -> list[float]:
        """How long each of ``units`` takes, in seconds, in one run over `logits`' images."""
        self._take(images)
        found = []
        for call in self._calls:
            begin = time.perf_counter()
            self._crew.share(call.loop, call.count, call.arguments, call.seconds)
            found.append(time.perf_counter() - begin)
        return found

    def _take(self, images: Array) -> None:
        if not isinstance(images, np.ndarray) or images.dtype != np.float32:
            kind = getattr(images, "dtype", type(images).__name__)
            raise DataError(f"images must be a float32 array, but got {kind}")
        if images.ndim != 4 or images.shape[1:] != self.image or not len(images):
            wanted = ", ".join(map(str, self.image))
            raise DataError(f"images must be (N, {wanted}), but got {images.shape}")
        if len(images) != self._batch:
            self._bind(len(images))
        if not kernels.take(np.ascontiguousarray(images), self._image):
            raise DataError("images hold NaN or infinity; normalise them without")

    def _bind(self, batch: int) -> None:
        """Give every map memory for such a batch, shared by maps that are not alive together."""
        maps = _memory(self.graph, self.units, batch)
        self._image = maps[0]
        self._logits = maps[len(self.graph.nodes)].reshape(batch, -1)
        self._calls = [step(batch, maps) for step in self._steps]
        self._batch = batch


def load_packed(file: str | Path, threads: int = 1) -> PackedNetwork:
    """The network of a packed file, ready to run.

    Args:
        file: see `ir2search export`.
        threads: how many share each operation.

    Raises:
        WeightsError: the file is missing, damaged, or holds no packed network.
    """
    return PackedNetwork(read_packed(Path(file)), threads)


def _memory(graph: Graph, units: Sequence[Unit], batch: int) -> dict[int, Array]:
    """A flat array for each value that some unit makes."""
    last_use = {value: index for index, unit in enumerate(units) for value in unit.reads}
    last_use[0], last_use[len(graph.nodes)] = len(units), len(units)
    free: list[Array] = []
    held: dict[int, Array] = {}
    maps: dict[int, Array] = {}
    total = 0

    def give(value: int, dtype: type, elements: int) -> None:
        nonlocal total
        needed = elements * np.dtype(dtype).itemsize
        fitting = [block for block in free if block.nbytes >= needed]
        if fitting:
            block = min(fitting, key=lambda each: each.nbytes)
            free[:] = [each for each in free if each is not block]
        else:
            total += needed
            if total > LARGEST_BATCH_BYTES:
                raise DataError(f"a batch of {batch} images does not fit in memory; give fewer")
            block = np.zeros(needed, np.uint8)
        held[value] = block
        maps[value] = block[:needed].view(dtype)

    give(0, np.float32, batch * math.prod(graph.image))
    for index, unit in enumerate(units):
        if unit.real is not None:
            give(unit.real, np.float32, batch * math.prod(graph.shape(unit.real)))
        if unit.signs is not None:
            *sides, channels = graph.shape(unit.signs)
            give(unit.signs, np.uint64, batch * math.prod(sides) * layout.words(channels))
        ended = [value for value in held if last_use.get(value, index) <= index]
        free.extend(held.pop(value) for value in ended)
    return maps
