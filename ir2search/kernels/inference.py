"""The runtime for 1-bit networks, in C: its steps as ctypes sees them, and the compiled library.

The sources are in ``runtime/``; ``ir2_runtime.h`` explains all fields.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import subprocess
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from ir2search.errors import MissingCompilerError, first_line
from ir2search.kernels.build import RUNTIME
from ir2search.kernels.cache import compiled

SOURCES = RUNTIME.folder


class Operation(IntEnum):
    """What a step does, ``enum ir2_operation``."""

    CONVOLVE_SIGNS = 0
    CONVOLVE_NUMBERS = 1
    POINTWISE = 2
    POOL_MEAN = 3
    POOL_MAX = 4
    POOL_SIGNS = 5
    COPY = 6
    SUBSAMPLE = 7
    SHUFFLE = 8
    FLATTEN = 9
    EIGHT_BITS = 10
    PIXELS = 11


class Form(IntFlag):
    """What follows the sums of a step, ``enum ir2_form``."""

    LIMITS = 1
    SCALE = 2
    SHIFT = 4
    SHORTCUT = 8
    HARDTANH = 16
    PRELU = 32
    SHIFTED = 64
    REAL = 128
    SIGNS = 256
    PLUS_MINUS = 512
    ADAPTIVE = 1024


NUMBERS = (
    "operation", "form", "height", "width", "channels", "rows", "columns", "outputs", "size",
    "stride", "padding", "groups", "units", "chunk", "copied", "before", "column_kinds",
)  # fmt: skip
MAPS = ("source", "shortcut", "real", "signs")
ARRAYS = (
    "bits", "weights", "scale", "shift", "knee", "slope", "rise", "threshold", "borders",
    "row_kind", "column_kind", "falling",
)  # fmt: skip


class Map(ctypes.Structure):
    """Where a map is in the arena, ``ir2_map``."""

    _fields_ = (("place", ctypes.c_size_t), ("rows", ctypes.c_void_p))


class Step(ctypes.Structure):
    """One operation, ``ir2_step``."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in NUMBERS),
        *((name, Map) for name in MAPS),
        ("scratch", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ARRAYS),
    )


class Call(ctypes.Structure):
    """A network and the memory that it runs in, ``ir2_call``."""

    _fields_ = (
        ("steps", ctypes.c_void_p),
        ("arena", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
        ("threads", ctypes.c_void_p),
        ("images", ctypes.c_size_t),
        ("scratch_bytes", ctypes.c_size_t),
        ("variant", ctypes.c_int32),
    )


@dataclass(frozen=True)
class Variant:
    """The runtime compiled for some instructions.

    Attributes:
        number: its place in the library.
        name: ``"portable"``, or the instructions it is named after.
        lanes: outputs that are computed together.
    """

    number: int
    name: str
    lanes: int


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled runtime.

    Raises:
        MissingCompilerError: it is not compiled yet, and cannot be.
    """
    try:
        loaded = ctypes.CDLL(str(RUNTIME.shipped() or compiled(RUNTIME)))
    except (OSError, subprocess.SubprocessError) as error:
        reason = first_line(error)
        raise MissingCompilerError(
            f"the runtime for packed files could not be compiled; install a C compiler ({reason})"
        ) from None
    for name, (returned, *arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = returned, arguments
    return loaded


@functools.cache
def variants() -> tuple[Variant, ...]:
    """The variants that this processor runs, the fastest first.

    Raises:
        MissingCompilerError: see `library`.
    """
    functions, found = library(), list[Variant]()
    for number in itertools.count():
        name = functions.ir2_variant_name(number)
        if name is None:
            return tuple(found)
        if functions.ir2_variant_runs(number):
            found.append(Variant(number, name.decode(), functions.ir2_variant_lanes(number)))
    raise AssertionError


def portable() -> Variant:
    """The variant in plain C, which microcontrollers run too.

    Raises:
        MissingCompilerError: see `library`.
    """
    return variants()[-1]


_INT, _LONG, _SIZE = ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t
_POINTER = ctypes.c_void_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "ir2_variant_name": (ctypes.c_char_p, _INT),
    "ir2_variant_runs": (_INT, _INT),
    "ir2_variant_lanes": (_INT, _INT),
    "ir2_read_images": (_INT, _POINTER, _LONG, _LONG, _LONG, _POINTER),
    "ir2_run_steps": (None, _POINTER, _INT, _INT, ctypes.c_double),
    "ir2_threads_new": (_POINTER, ctypes.c_int),
    "ir2_threads_free": (None, _POINTER),
}
