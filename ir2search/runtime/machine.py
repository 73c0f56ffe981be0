"""The processor and the runtime, on which the time of a network depends."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir2search.kernels import inference


@dataclass(frozen=True)
class Machine:
    """A processor and a runtime; times are comparable only if both are equal.

    Attributes:
        cpu: the processor's model.
        runtime: a digest of the runtime's source code.
    """

    cpu: str
    runtime: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Machine:
        """The inverse of ``dataclasses.asdict``; in older records, ``engine`` is the runtime.

        Raises:
            KeyError: a value is missing.
        """
        runtime = values["runtime"] if "runtime" in values else values["engine"]
        return cls(values["cpu"], runtime)


@functools.cache
def this_machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(_cpu(), _runtime())


def _cpu() -> str:
    """The model's name on Linux, with family and model numbers, because names are not unique."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    values = {name.strip(): value.strip() for name, _, value in pairs}
    if "model name" not in values:
        return platform.processor() or platform.machine()
    numbers = ", ".join(f"{key} {values[key]}" for key in ("cpu family", "model") if key in values)
    return f"{values['model name']} ({numbers})" if numbers else values["model name"]


def _runtime() -> str:
    digest = hashlib.sha256()
    for folder in (Path(__file__).parent, inference.SOURCES):
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
