"""The runtime as a WebAssembly module, which runs networks in a browser.

The compiled module is part of the repository, so only a change of the C needs a compiler for it:
``python -m ir2search.kernels.web`` compiles it again. Its last bytes are a digest of what it was
compiled from.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from ir2search.errors import MissingCompilerError, first_line
from ir2search.files import replacing
from ir2search.kernels.build import RUNTIME

MODULE = RUNTIME.folder / "ir2_runtime.wasm"
FIRST_BYTE = 2**16  # of the memory that is free; below are the module's stack and constants
NEEDS = "clang, lld and wasi-libc (Debian: apt-get install clang lld wasi-libc)"

_SOURCES = ("ir2_runtime.c", "ir2_runtime.h")
_FLAGS = (
    "--target=wasm32-wasi", "-std=c99", "-ffp-contract=off", "-Os", "-mbulk-memory", "-nostdlib",
    "-D__POPCNT__",  # the runtime then counts bits by the instruction for it
    "-Wl,--no-entry", "-Wl,--export=ir2_run", "-Wl,--import-memory", "-Wl,--strip-all",
    "-Wl,--stack-first", "-Wl,-z,stack-size=16384", f"-Wl,--initial-memory={FIRST_BYTE}",
)  # fmt: skip


def module() -> bytes:
    """The compiled module.

    It imports ``env.memory`` and exports ``ir2_run``, see ``ir2_runtime.h``.

    Raises:
        MissingCompilerError: it was compiled from other sources than those of this package.
    """
    found = MODULE.read_bytes()
    if not found.endswith(_digest()):
        raise MissingCompilerError(
            f"{MODULE}: was compiled from other sources; run `make wasm`, which needs {NEEDS}"
        )
    return found


def compile_module(file: Path) -> None:
    """Compile the module to a file.

    Raises:
        MissingCompilerError: the compiler is missing, or fails.
    """
    with replacing(file) as partial:
        command = ("clang", *_FLAGS, "-o", str(partial), str(RUNTIME.folder / _SOURCES[0]))
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = first_line(error)
            raise MissingCompilerError(
                f"the module could not be compiled; install {NEEDS}: {said}"
            ) from None
        with partial.open("ab") as stream:
            stream.write(_custom_section("sources", _digest()))


def _digest() -> bytes:
    sources = [(RUNTIME.folder / name).read_text(encoding="utf-8") for name in _SOURCES]
    return hashlib.sha256(repr((sources, _FLAGS)).encode()).digest()


def _custom_section(name: str, content: bytes) -> bytes:
    """A section of a module that browsers ignore (WebAssembly core specification, 5.5.3)."""
    body = bytes([len(name)]) + name.encode() + content
    return bytes([0, len(body)]) + body


if __name__ == "__main__":
    compile_module(MODULE)
