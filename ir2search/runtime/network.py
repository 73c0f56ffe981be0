"""Run a packed network."""

from __future__ import annotations

import ctypes
import math
import time
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ir2search.errors import DataError
from ir2search.kernels import inference
from ir2search.kernels.inference import Variant
from ir2search.notebook import html_table
from ir2search.runtime.graph import Array, Graph
from ir2search.runtime.lowering import Target
from ir2search.runtime.packed import read_packed
from ir2search.runtime.program import Program, make_program
from ir2search.runtime.schedule import Unit, make_schedule
from ir2search.runtime.weights import Floats

LARGEST_BATCH_BYTES = 2**34  # bytes of all feature maps of a batch
COPIED_BYTES = 2**15  # rows that a convolution copies at once; they stay in the fastest cache
LINE = 64  # bytes of a cache line; what the runtime reads is aligned to it
LEAST_SECONDS = -1.0  # below 0: the runtime's own limit; shorter work stays on one thread


class PackedNetwork:
    """A network from a packed file, run at 1 bit on the CPU.

    Do not share a network between threads; give each thread its own.

    Args:
        graph: the network, see `read_packed`.
        threads: number of threads for each operation.
        variant: one of `inference.variants`; None for the fastest on this processor.

    Raises:
        MissingCompilerError: the runtime is not compiled yet, and cannot be.
    """

    def __init__(self, graph: Graph, threads: int = 1, variant: Variant | None = None) -> None:
        self._library = inference.library()
        self._variant = variant or inference.variants()[0]
        self.graph = graph
        self.units: tuple[Unit, ...] = make_schedule(graph)
        self.program: Program = make_program(graph, host_target(self._variant.lanes))
        self._steps, self._constants = _bind(self.program)
        self._threads = threads
        self._pool = _thread_pool(self._library, threads)
        self._batch = 0
        self._arena = self._scratch = np.zeros(0, np.uint8)
        self._call = inference.Call()
        if self._pool is not None:
            weakref.finalize(self, self._library.ir2_threads_free, self._pool)

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        height, width, channels = self.graph.image
        return channels, height, width

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.graph.classes

    def __repr__(self) -> str:
        return (
            f"PackedNetwork(image={self.image}, classes={self.classes}, "
            f"units={len(self.units)}, threads={self._threads})"
        )

    def _repr_html_(self) -> str:
        shapes = [(index, unit.name) for index, unit in enumerate(self.units)]
        title = f"{self!r}, {self.program.arena:,} bytes of activations"
        return html_table(title, ("unit", "layer"), shapes)

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
        self.run_steps(0, len(self._steps))
        start, numbers = self.program.logits * self._batch, math.prod(self.graph.nodes[-1].shape)
        found = self._arena[start : start + 4 * self._batch * numbers].view(np.float32)
        return found.reshape(self._batch, -1).copy()

    def seconds_by_unit(self, images: Array) -> list[float]:
        """Run the network on images as `logits` does; return the seconds of each of its ``units``.

        Raises:
            DataError: the images have another shape or dtype, or contain NaN or infinity.
        """
        self._read(images)
        seconds = [0.0] * len(self.units)
        for step, unit in enumerate(self.program.units):
            start = time.perf_counter()
            self.run_steps(step, step + 1)
            seconds[unit] += time.perf_counter() - start
        return seconds

    def run_steps(self, first: int, last: int) -> None:
        """Run some steps of the ``program`` again, on the maps of the last images."""
        self._library.ir2_run_steps(ctypes.byref(self._call), first, last, LEAST_SECONDS)

    def _read(self, images: Array) -> None:
        if not isinstance(images, np.ndarray) or images.dtype != np.float32:
            kind = getattr(images, "dtype", type(images).__name__)
            raise DataError(f"images must be a float32 array, but got {kind}")
        if images.ndim != 4 or images.shape[1:] != self.image or not len(images):
            expected = ", ".join(map(str, self.image))
            raise DataError(f"images must be (N, {expected}), but got {images.shape}")
        if len(images) != self._batch:
            self._allocate(len(images))
        given = np.ascontiguousarray(images)
        channels, height, width = self.image
        target = self._arena.ctypes.data + self.program.image * self._batch
        if not self._library.ir2_read_images(
            given.ctypes.data, self._batch, channels, height * width, target
        ):
            raise DataError("images must be finite, but hold NaN or infinity")

    def _allocate(self, batch: int) -> None:
        """Allocate the arena for a batch size."""
        if batch * self.program.arena > LARGEST_BATCH_BYTES:
            raise DataError(f"a batch of {batch} images does not fit in memory; use a smaller one")
        scratch = -(-self.program.scratch // LINE) * LINE + LINE
        self._arena = _aligned_bytes(batch * self.program.arena + LINE)
        self._scratch = _aligned_bytes(self._threads * scratch)
        self._call = inference.Call(
            ctypes.addressof(self._steps),
            self._arena.ctypes.data,
            self._scratch.ctypes.data,
            self._pool,
            batch,
            scratch,
            self._variant.number,
        )
        self._batch = batch


def load_packed(file: str | Path, threads: int = 1) -> PackedNetwork:
    """Load a packed file as a network that is ready to run.

    Args:
        file: a packed file of `ir2search export`.
        threads: number of threads for each operation.

    Raises:
        WeightsError: the file is missing, damaged or not a packed network.
        MissingCompilerError: the runtime is not compiled yet, and cannot be.
    """
    return PackedNetwork(read_packed(Path(file)), threads)


def host_target(lanes: int) -> Target:
    """The target for a computer whose variant computes ``lanes`` outputs together."""
    return Target(lanes, alignment=LINE, copied_bytes=COPIED_BYTES, is_microcontroller=False)


def _thread_pool(library: ctypes.CDLL, threads: int) -> int | None:
    if threads == 1:
        return None
    pool: int | None = library.ir2_threads_new(threads)
    if pool is None:
        raise MemoryError
    return pool


def _bind(program: Program) -> tuple[ctypes.Array[inference.Step], Array]:
    """The steps as C reads them, and the memory that holds their constants."""
    arrays = {id(each): each for step in program.steps for each in step.arrays.values()}
    starts, total = _starts(arrays)
    constants = _aligned_bytes(total)
    for key, array in arrays.items():
        part = constants[starts[key] : starts[key] + array.nbytes]
        part[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    base = constants.ctypes.data
    steps = (inference.Step * len(program.steps))()
    for target, step, places in zip(steps, program.steps, program.places, strict=True):
        target.operation, target.form = step.operation, step.form
        for name, value in step.numbers.items():
            setattr(target, name, value)
        for role, at in places.items():
            setattr(target, role, inference.Map(at.first))
        for name, array in step.arrays.items():
            setattr(target, name, base + starts[id(array)])
    return steps, constants


def _starts(arrays: Mapping[int, Array]) -> tuple[dict[int, int], int]:
    """Where each array starts in one block of memory, and the size of the block."""
    starts, total = {}, 0
    for key, array in arrays.items():
        starts[key] = total
        total += -(-array.nbytes // LINE) * LINE
    return starts, total


def _aligned_bytes(count: int) -> Array:
    """Zeros that start at a cache line."""
    block = np.zeros(count + LINE, np.uint8)
    start = -block.ctypes.data % LINE
    return block[start : start + count]
