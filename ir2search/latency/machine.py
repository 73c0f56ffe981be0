"""What a time depends on beside the network: the processor and the engine."""

from __future__ import annotations

import functools
import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ir2search import runtime as engine


@dataclass(frozen=True)
class Machine:
    """Where times can be compared with each other.

    Attributes:
        cpu: the processor's model.
        engine: a digest of the engine's code and of what compiles it.
    """

    cpu: str
    engine: str


@functools.cache
def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(_cpu(), _engine())


def _cpu() -> str:
    """As Linux names it, with the numbers that tell models of one name apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    said = {name.strip(): value.strip() for name, _, value in pairs}
    if "model name" not in said:
        return platform.processor() or platform.machine()
    numbers = ", ".join(f"{name} {said[name]}" for name in ("cpu family", "model") if name in said)
    return f"{said['model name']} ({numbers})" if numbers else said["model name"]


def _engine() -> str:
    folder = Path(engine.__path__[0])
    digest = hashlib.sha256(repr([version(name) for name in ("numba", "numpy")]).encode())
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
