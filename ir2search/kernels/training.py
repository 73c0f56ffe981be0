"""Native kernels for training on a CPU, compiled at their first use on a machine.

They need a C++ compiler with OpenMP. Without one, training uses the operations of torch, takes
several times longer, and warns once.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from ir2search.files import cache_folder

SOURCE = Path(__file__).with_name("training.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-shared", "-fPIC")
COMPILERS = ("c++", "g++", "clang++")

_POINTER, _INT, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float
_MAPS = (_LONG, _LONG, _LONG)
_SIGNATURES: dict[str, Sequence[type]] = {
    "ir2_keep_memory": (),
    "ir2_convolve": (*[_POINTER] * 4, _INT),
    "ir2_convolve_backward": (*[_POINTER] * 6, _INT, _FLOAT, _INT),
    "ir2_norm": (*[_POINTER] * 6, *_MAPS, _FLOAT, _INT, _INT),
    "ir2_norm_backward": (*[_POINTER] * 9, *_MAPS, _INT, _INT),
    "ir2_unit": (*[_POINTER] * 9, _FLOAT, _INT, _INT),
    "ir2_unit_backward": (*[_POINTER] * 13, _INT, _INT, _INT, _FLOAT, _INT),
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernels, or None and one warning if they cannot be compiled or loaded."""
    try:
        loaded = ctypes.CDLL(str(_compile()))
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        warnings.warn(
            "the fast kernels could not be compiled, so training is slower; install a C++ compiler "
            f"with OpenMP ({reason.strip().splitlines()[0]})",
            stacklevel=2,
        )
        return None
    for name, arguments in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, None
    return loaded


def keep_memory() -> None:
    """Make this process keep freed memory for the next feature maps."""
    kernels = library()
    if kernels is not None:
        kernels.ir2_keep_memory()


def _compile() -> Path:
    """Compile the library, or find it in the cache; returns its file."""
    compiler = os.environ.get("CXX") or next(filter(shutil.which, COMPILERS), None)
    if compiler is None:
        raise OSError("none of " + ", ".join(COMPILERS) + " is installed")
    parts = (SOURCE.read_text(encoding="utf-8"), FLAGS, compiler, platform.machine(), _cpu())
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    file = cache_folder() / f"training-{key}.so"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            compiled = Path(scratch) / file.name
            command = [compiler, *FLAGS, "-o", str(compiled), str(SOURCE)]
            subprocess.run(command, check=True, capture_output=True, text=True)
            compiled.replace(file)
    return file


@functools.cache
def _cpu() -> str:
    """The instruction sets of this CPU; the library runs only on CPUs that have them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor()
