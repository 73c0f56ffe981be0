"""What this package compiles, and how. The build of the wheel runs this file on its own."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / "built"  # libraries that the wheel brings, or that an installation has compiled


@dataclass(frozen=True)
class Library:
    """How a library is built.

    Attributes:
        name: the start of its file's name.
        folder: its sources.
        parts: objects: the name of a source file, and further flags for it.
        flags: flags for all of them.
        variable: the environment variable that names the compiler.
        compilers: commands to try without it.
        links: flags for linking.
    """

    name: str
    folder: Path
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    flags: tuple[str, ...]
    variable: str
    compilers: tuple[str, ...]
    links: tuple[str, ...] = ()

    def key(self, *more: str) -> str:
        """A digest of sources and flags, and of what else the result depends on."""
        files = sorted(self.folder.glob("*.[ch]*"))
        sources = [file.read_text(encoding="utf-8") for file in files]
        parts = (sources, self.parts, self.flags, self.links, more)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def compiler(self) -> str:
        """The command of a compiler.

        Raises:
            OSError: none is installed.
        """
        found = os.environ.get(self.variable) or next(filter(shutil.which, self.compilers), None)
        if found is None:
            raise OSError("none of " + ", ".join(self.compilers) + " is installed")
        return found

    def shipped(self) -> Path | None:
        """The file that the wheel brings for these sources, if there is one."""
        file = BUILT / f"{self.name}-{self.key()}.so"
        return file if file.exists() else None


def compile_to(file: Path, library: Library) -> None:
    """Compile a library to a file. The file appears only when it is complete.

    Raises:
        OSError: there is no compiler.
        subprocess.CalledProcessError: the compiler fails.
    """
    compiler = library.compiler()
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        objects = []
        for number, (source, flags) in enumerate(library.parts):
            objects.append(Path(scratch) / f"{number}.o")
            path = library.folder / source
            _run(compiler, *library.flags, *flags, "-c", "-o", objects[-1], path)
        built = Path(scratch) / file.name
        _run(compiler, "-shared", "-o", built, *objects, *library.links)
        built.replace(file)


def _run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)


def build_all(libraries: Iterable[Library], complain: Callable[[str], object]) -> list[Path]:
    """Compile the libraries that a wheel brings into `BUILT`; returns their files.

    A library for which no compiler works is left out, and ``complain`` is called with the reason.
    Files of older sources are removed.
    """
    files = []
    for library in libraries:
        file = BUILT / f"{library.name}-{library.key()}.so"
        try:
            if not file.exists():
                compile_to(file, library)
            files.append(file)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            complain(f"{library.name} is not compiled: {said.strip().splitlines()[0]}")
    for old in set(BUILT.glob("*.so")) - set(files):
        old.unlink()
    return files


_X86_64 = platform.machine() in ("x86_64", "AMD64")
_ARM64 = platform.machine() in ("aarch64", "arm64")
_AVX2 = ("-mavx2", "-mfma", "-mpopcnt")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq")
_VECTORS: dict[str, tuple[str, ...]] = {}  # variants of the runtime in vectors, with their flags
_HOST: tuple[str, ...] = ()
if _X86_64:
    _VECTORS = {"avx2": _AVX2, "avx512": _AVX512, "vpopcntdq": (*_AVX512, "-mavx512vpopcntdq")}
    _HOST = ("-DIR2_HAS_X86",)
elif _ARM64:
    _VECTORS = {"neon": ()}
    _HOST = ("-DIR2_HAS_NEON",)


def _variant(name: str, *flags: str) -> tuple[str, tuple[str, ...]]:
    """The runtime's source, with names of its own."""
    functions = ("ir2_lanes", "ir2_run_rows", "ir2_run")
    return "ir2_runtime.c", (*flags, *(f"-D{each}={each}_{name}" for each in functions))


RUNTIME = Library(
    "runtime",
    HERE / "runtime",
    (
        ("host.c", _HOST),
        ("threads.c", ()),
        _variant("portable"),
        *(_variant(name, "-DIR2_BLOCKS", *flags) for name, flags in _VECTORS.items()),
    ),
    ("-O3", "-std=gnu11", "-ffp-contract=off", "-fPIC", "-pthread"),
    "CC",
    ("cc", "gcc", "clang"),
    ("-pthread",),
)

TRAINING = Library(
    "training",
    HERE / "native",
    (("training.cpp", ()),),
    # the flags of floating-point exceptions are not used, and keep GCC from vectorising conditions
    ("-O3", "-std=c++17", "-fopenmp", "-fno-trapping-math", "-fPIC"),
    "CXX",
    ("c++", "g++", "clang++"),
    ("-fopenmp",),
)


def training(*flags: str) -> Library:
    """The training kernels with further flags."""
    return replace(TRAINING, flags=(*TRAINING.flags, *flags))


def _shipped_training(name: str, *flags: str) -> Library:
    """Training kernels for a wheel: torch brings the OpenMP that they use."""
    return replace(training(*flags), name=f"training-{name}", links=())


# Training kernels that the wheel brings, the fastest first, with the instructions that they need.
_V3 = ("avx2", "fma", "bmi2", "f16c", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_BF16 = (*_V4, "avx512_bf16", "avx512_vpopcntdq", "gfni")
SHIPPED_TRAINING: tuple[tuple[tuple[str, ...], Library], ...] = ()
if _X86_64:
    SHIPPED_TRAINING = (
        (
            _BF16,
            _shipped_training(
                "bf16", "-march=x86-64-v4", "-mavx512bf16", "-mavx512vpopcntdq", "-mgfni"
            ),
        ),
        (_V4, _shipped_training("v4", "-march=x86-64-v4")),
        (_V3, _shipped_training("v3", "-march=x86-64-v3")),
    )
elif _ARM64:
    SHIPPED_TRAINING = (((), _shipped_training("arm64")),)


def shipped_libraries() -> list[Library]:
    """What a wheel brings."""
    return [RUNTIME, *(library for _, library in SHIPPED_TRAINING)]
