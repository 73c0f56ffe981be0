"""Compile libraries from the sources of this package, once for each machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ir2search.files import cache_folder


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
        key: what else the result depends on, for example the processor.
    """

    name: str
    folder: Path
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    flags: tuple[str, ...]
    variable: str
    compilers: tuple[str, ...]
    key: str = ""


def compiled(library: Library) -> Path:
    """Compile a library, or find it in the cache; returns its file.

    Raises:
        OSError: there is no compiler.
        subprocess.CalledProcessError: the compiler fails.
    """
    compiler = os.environ.get(library.variable) or next(
        filter(shutil.which, library.compilers), None
    )
    if compiler is None:
        raise OSError("none of " + ", ".join(library.compilers) + " is installed")
    file = cache_folder() / f"{library.name}-{_key(library, compiler)}.so"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            built = Path(scratch) / file.name
            compile_to(built, library, compiler)
            built.replace(file)
    return file


def compile_to(file: Path, library: Library, compiler: str) -> None:
    """Compile a library to a file; objects are written beside it.

    Raises:
        OSError: there is no such compiler.
        subprocess.CalledProcessError: the compiler fails.
    """
    if len(library.parts) == 1:
        ((source, flags),) = library.parts
        _run(compiler, *library.flags, *flags, "-shared", "-o", file, library.folder / source)
        return
    objects = []
    for number, (source, flags) in enumerate(library.parts):
        objects.append(file.with_suffix(f".{number}.o"))
        path = library.folder / source
        _run(compiler, *library.flags, *flags, "-c", "-o", objects[-1], path)
    _run(compiler, *library.flags, "-shared", "-o", file, *objects)
    for each in objects:
        each.unlink()


def _run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)


def _key(library: Library, compiler: str) -> str:
    files: Sequence[Path] = sorted(library.folder.glob("*.[ch]*"))
    sources = [file.read_text(encoding="utf-8") for file in files]
    parts = (sources, library.parts, library.flags, library.key, compiler)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
