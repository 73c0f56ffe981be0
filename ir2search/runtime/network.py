"""Run a packed network."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ir2search.errors import DataError
from ir2search.extras import require
from ir2search.runtime import layout
from ir2search.runtime.frame import Floats
from ir2search.runtime.graph import Array, Graph
from ir2search.runtime.packed import read_packed
from ir2search.runtime.schedule import Unit, make_schedule
from ir2search.runtime.thread_pool import ThreadPool

LARGEST_BATCH_BYTES = 2**34  # bytes of all feature maps of a batch


class PackedNetwork:
    """A network from a packed file, run at 1 bit on the CPU.

    The first network on a machine takes some seconds to compile the loops, which are then kept on
    disk. Do not share a network between threads; give each thread its own.

    Args:
        graph: the network, see `read_packed`.
        threads: number of threads for each operation.

    Raises:
        MissingExtraError: numba is not installed.
    """

    def __init__(self, graph: Graph, threads: int = 1) -> None:
        require("numba", extra="export")
        from ir2search.runtime import kernels, steps

        self.graph = graph
        self.units: tuple[Unit, ...] = make_schedule(graph)
        self._steps = [steps.make_step(graph, unit) for unit in self.units]
        self._copy_images = kernels.to_channels_last
        self._pool = ThreadPool(threads)
        self._batch = 0
        self._image: Floats = np.zeros(0, np.float32)
        self._logits: Floats = self._image
        self._calls: list[steps.Call] = []

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
            DataError: the images have another shape or dtype, or contain NaN or infinity.
        """
        self._read(images)
        for call in self._calls:
            self._pool.run(call.loop, call.count, call.arguments, call.seconds)
        return self._logits.copy()

    def seconds_by_unit(self, images: Array) -> list[float]:
        """Run the network on images as `logits` does; return the seconds of each of its ``units``.

        Raises:
            DataError: the images have another shape or dtype, or contain NaN or infinity.
        """
        self._read(images)
        seconds = []
        for call in self._calls:
            start = time.perf_counter()
            self._pool.run(call.loop, call.count, call.arguments, call.seconds)
            seconds.append(time.perf_counter() - start)
        return seconds

    def _read(self, images: Array) -> None:
        if not isinstance(images, np.ndarray) or images.dtype != np.float32:
            kind = getattr(images, "dtype", type(images).__name__)
            raise DataError(f"images must be a float32 array, but got {kind}")
        if images.ndim != 4 or images.shape[1:] != self.image or not len(images):
            expected = ", ".join(map(str, self.image))
            raise DataError(f"images must be (N, {expected}), but got {images.shape}")
        if len(images) != self._batch:
            self._allocate(len(images))
        if not self._copy_images(np.ascontiguousarray(images), self._image):
            raise DataError("images must be finite, but hold NaN or infinity")

    def _allocate(self, batch: int) -> None:
        """Allocate feature maps for a batch size, and bind each step to its maps."""
        maps = _allocate_maps(self.graph, self.units, batch)
        self._image = maps[0]
        self._logits = maps[len(self.graph.nodes)].reshape(batch, -1)
        self._calls = [step(batch, maps) for step in self._steps]
        self._batch = batch


def load_packed(file: str | Path, threads: int = 1) -> PackedNetwork:
    """Load a packed file as a network that is ready to run.

    Args:
        file: a packed file of `ir2search export`.
        threads: number of threads for each operation.

    Raises:
        WeightsError: the file is missing, damaged or not a packed network.
        MissingExtraError: numba is not installed.
    """
    return PackedNetwork(read_packed(Path(file)), threads)


def _allocate_maps(graph: Graph, units: Sequence[Unit], batch: int) -> dict[int, Array]:
    """A flat array for each value of a unit; values that are never used together share memory."""
    last_use = {value: index for index, unit in enumerate(units) for value in unit.reads}
    last_use[0], last_use[len(graph.nodes)] = len(units), len(units)
    free: list[Array] = []
    in_use: dict[int, Array] = {}
    maps: dict[int, Array] = {}
    total = 0

    def allocate(value: int, dtype: type, elements: int) -> None:
        nonlocal total
        needed = elements * np.dtype(dtype).itemsize
        fitting = [block for block in free if block.nbytes >= needed]
        if fitting:
            block = min(fitting, key=lambda each: each.nbytes)
            free[:] = [each for each in free if each is not block]
        else:
            total += needed
            if total > LARGEST_BATCH_BYTES:
                raise DataError(
                    f"a batch of {batch} images does not fit in memory; use a smaller one"
                )
            block = np.zeros(needed, np.uint8)
        in_use[value] = block
        maps[value] = block[:needed].view(dtype)

    allocate(0, np.float32, batch * math.prod(graph.image))
    for index, unit in enumerate(units):
        if unit.real is not None:
            allocate(unit.real, np.float32, batch * math.prod(graph.shape(unit.real)))
        if unit.signs is not None:
            *sides, channels = graph.shape(unit.signs)
            allocate(unit.signs, np.uint64, batch * math.prod(sides) * layout.words(channels))
        ended = [value for value in in_use if last_use.get(value, index) <= index]
        free.extend(in_use.pop(value) for value in ended)
    return maps
