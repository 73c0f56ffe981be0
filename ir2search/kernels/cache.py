"""Compile libraries once for each machine."""

from __future__ import annotations

from pathlib import Path

from ir2search.files import cache_folder
from ir2search.kernels.build import Library, compile_to


def compiled(library: Library, *machine: str) -> Path:
    """Compile a library, or find it in the cache; returns its file.

    Args:
        library: how to compile it.
        machine: what else the result depends on, for example the processor.

    Raises:
        OSError: there is no compiler.
        subprocess.CalledProcessError: the compiler fails.
    """
    key = library.key(library.compiler(), *machine)
    file = cache_folder() / f"{library.name}-{key}.so"
    if not file.exists():
        compile_to(file, library)
    return file
