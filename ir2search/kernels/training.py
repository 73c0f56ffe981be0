"""Native kernels for training on a CPU, compiled at their first use on a machine.

This needs a C++ compiler with OpenMP. Without one, training uses the kernels that the wheel brings,
which are compiled for a family of processors. Without these, it uses the operations of torch, takes
several times longer, and warns once.

The forward pass is exact. Where the processor has AVX-512 with BF16 and VPOPCNTDQ, the backward
pass of binary convolutions rounds gradients to bfloat16. A gradient of a weight or an input then
differs from that in float64 by less than 1% of the norm of the terms that it sums. The
environment variable IR2SEARCH_ARITHMETIC=float32 keeps float32, and takes twice the time.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ir2search.errors import InputError, first_line
from ir2search.kernels import build
from ir2search.kernels.cache import compiled

Arithmetic = Literal["auto", "float32", "avx2"]
VARIABLE = "IR2SEARCH_ARITHMETIC"
_OF_ARITHMETIC: dict[Arithmetic, tuple[str, ...]] = {
    "auto": (),
    "float32": ("-DIR2_FLOAT32",),
    "avx2": ("-mno-avx512f",) if platform.machine() == "x86_64" else (),
}

_POINTER, _INT, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float
_MAPS = (_LONG, _LONG, _LONG)
_ACTIVATION = (_INT, _POINTER, _POINTER, _POINTER)
_SIGNATURES: dict[str, Sequence[type]] = {
    "ir2_arithmetic": (),
    "ir2_keep_memory": (),
    "ir2_packed_words": (_POINTER,),
    "ir2_bit_words": (_POINTER,),
    "ir2_pack": (*[_POINTER] * 3, _INT),
    "ir2_convolve": (*[_POINTER] * 7, _INT),
    "ir2_convolve_backward": (*[_POINTER] * 10, _INT, _INT, _FLOAT, _INT),
    "ir2_norm": (*[_POINTER] * 4, *_ACTIVATION, *[_POINTER] * 5, _FLOAT, *_MAPS, _FLOAT, _INT),
    "ir2_norm_backward": (*[_POINTER] * 5, *_ACTIVATION, *[_POINTER] * 8, *_MAPS, _INT),
    "ir2_pool": (*[_POINTER] * 3, _LONG, _INT),
    "ir2_pool_backward": (*[_POINTER] * 3, _LONG, _INT),
    "ir2_unit": (
        *(*[_POINTER] * 8, *_ACTIVATION, *[_POINTER] * 7, _FLOAT, _POINTER, _FLOAT, _INT, _INT),
    ),
    "ir2_unit_backward": (
        *(*[_POINTER] * 11, *_ACTIVATION, *[_POINTER] * 11, _INT, _INT, _INT, _FLOAT, _INT),
    ),
}


def library() -> ctypes.CDLL | None:
    """The kernels, or None and one warning if they cannot be compiled or loaded.

    Raises:
        InputError: the environment variable IR2SEARCH_ARITHMETIC has an unknown value.
    """
    return _loaded(_of_environment())


def is_bfloat16() -> bool:
    """Whether the kernels round gradients to bfloat16."""
    kernels = library()
    return kernels is not None and bool(kernels.ir2_arithmetic())


def description() -> str | None:
    """How the kernels compute on this CPU, in a few words; None without kernels."""
    if library() is None:
        return None
    if is_bfloat16():
        return "forward by XOR and popcount, backward in bfloat16 (AVX-512)"
    return "in float32"


@functools.cache
def _of_environment() -> Arithmetic:
    """The arithmetic that the environment variable names.

    It is ``"auto"`` for the fastest on this CPU, ``"float32"`` for gradients in float32, or
    ``"avx2"`` for float32 without AVX-512.
    """
    name = os.environ.get(VARIABLE, "auto")
    for each in get_args(Arithmetic):
        if name == each:
            return each
    allowed = ", ".join(get_args(Arithmetic))
    raise InputError(f"{VARIABLE} must be one of {allowed}, but is {name!r}")


@functools.cache
def _loaded(arithmetic: Arithmetic) -> ctypes.CDLL | None:
    try:
        loaded = ctypes.CDLL(str(_compile(arithmetic)))
    except (OSError, subprocess.SubprocessError) as error:
        shipped = _load_shipped(arithmetic)
        if shipped is None:
            warnings.warn(
                "the fast kernels could not be compiled, so training is slower; install a C++ "
                f"compiler with OpenMP ({first_line(error)})",
                stacklevel=3,
            )
            return None
        loaded = shipped
    for name, arguments in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, None
    loaded.ir2_arithmetic.restype = _INT
    loaded.ir2_packed_words.restype = loaded.ir2_bit_words.restype = _LONG
    return loaded


def keep_memory() -> None:
    """Make this process keep freed memory for the next feature maps."""
    kernels = library()
    if kernels is not None:
        kernels.ir2_keep_memory()


def _compile(arithmetic: Arithmetic) -> Path:
    """Compile the library for this processor, or find it in the cache; returns its file."""
    library = build.training("-march=native", *_OF_ARITHMETIC[arithmetic])
    return compiled(library, platform.machine(), _cpu())


def _load_shipped(arithmetic: Arithmetic) -> ctypes.CDLL | None:
    """The fastest kernels of the wheel that this processor runs, or None."""
    instructions = set(_cpu().split())
    for needed, library in build.SHIPPED_TRAINING:
        file = library.shipped()
        fits = instructions.issuperset(needed)
        if file is None or not fits or (arithmetic != "auto" and "avx512f" in needed):
            continue
        with contextlib.suppress(OSError):
            return ctypes.CDLL(str(file))  # with the OpenMP of torch
        with contextlib.suppress(OSError):
            ctypes.CDLL("libgomp.so.1", ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(str(file))
    return None


@functools.cache
def _cpu() -> str:
    """The instruction sets of this CPU; the library runs only on CPUs that have them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor()
