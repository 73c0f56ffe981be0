"""Runs networks on a runtime that was compiled with AddressSanitizer.

It imports no torch. The process must have the sanitiser's library in ``LD_PRELOAD``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ir2search.kernels import inference
from ir2search.kernels.build import RUNTIME, compile_to
from ir2search.runtime import Graph, network

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g1")
GAP = 64  # bytes behind each constant that nothing may read


def compile_runtime(file: Path, compiler: str, *flags: str, vectors: bool = True) -> None:
    """Compile the runtime with sanitisers and further flags; without vectors in plain C only.

    Raises:
        subprocess.CalledProcessError: the compiler fails.
    """
    flags = (*FLAGS, *flags)
    library = replace(
        RUNTIME, flags=(*RUNTIME.flags, *flags), links=flags, compilers=(compiler,), variable="NONE"
    )
    if not vectors:
        plain = tuple((name, ()) for name, _ in RUNTIME.parts[:2])
        library = replace(library, parts=(*plain, RUNTIME.parts[2]))
    compile_to(file, library)


class Sanitised:
    """The sanitised runtime in place of the usual one, for the rest of the process."""

    def __init__(self, file: str) -> None:
        inference.compiled = lambda *_: Path(file)
        inference.RUNTIME = type("None_", (), {"shipped": staticmethod(lambda: None)})
        assert inference.library()._name == file
        this = ctypes.CDLL(None)
        self._poison = this["__asan_poison_memory_region"]
        self._unpoison = this["__asan_unpoison_memory_region"]
        for function in (self._poison, self._unpoison):
            function.argtypes = ctypes.c_void_p, ctypes.c_size_t
        self._placed: dict[int, tuple[int, int]] = {}
        network._starts = self._starts

    def _starts(self, arrays: Mapping[int, np.ndarray]) -> tuple[dict[int, int], int]:
        """Each constant with a gap behind it."""
        self._placed.clear()
        total = 0
        for key, array in arrays.items():
            self._placed[key] = (total, array.nbytes)
            total += -(-array.nbytes // GAP) * GAP + GAP
        return {key: start for key, (start, _) in self._placed.items()}, total

    def run(self, graph: Graph) -> None:
        """Classify two images with each variant; a read or write elsewhere ends the process."""
        height, width, channels = graph.image
        images = np.random.default_rng(0).standard_normal((2, channels, height, width))
        for variant in inference.variants():
            made = network.PackedNetwork(graph, 2, variant)
            base = made._constants.ctypes.data
            gaps = [base + start + -(-size // 8) * 8 for start, size in self._placed.values()]
            for gap in gaps:
                self._poison(gap, GAP)
            made.logits(images.astype(np.float32))
            for gap in gaps:
                self._unpoison(gap, GAP)
