"""The record of a run's sessions: machine, versions, command."""

from __future__ import annotations

import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ir2search.files import read_json, write_json
from ir2search.machine import cores
from ir2search.urls import recorded_argument
from ir2search.validation import checked

PACKAGES = ("ir2search", "torch", "optuna", "fvcore", "captum", "numpy", "pandas")


@dataclass(frozen=True)
class Session:
    """The machine, the versions and the command of one session of a run."""

    started: str
    command: list[str]
    python: str
    platform: str
    cpu: str
    threads: int
    device: str
    gpu: str | None
    versions: dict[str, str]


def read_sessions(file: Path) -> list[Session]:
    """The sessions that `add_session` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    return checked(read_json(file), _Read, file).sessions


def add_session(file: Path, seed: int, device: torch.device) -> None:
    """Add this session to ``file``: machine, versions, device, seed, command."""
    sessions = checked(read_json(file), _Written, file).sessions if file.exists() else []
    sessions.append(
        {
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": [_program(), *map(recorded_argument, sys.argv[1:])],
            "seed": seed,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "cores": cores(),
            "threads": torch.get_num_threads(),
            "device": str(device),
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
            "versions": {name: version(name) for name in PACKAGES},
        }
    )
    write_json(file, {"sessions": sessions})


@dataclass(frozen=True)
class _Written:
    sessions: list[dict[str, Any]]


@dataclass(frozen=True)
class _Read:
    sessions: list[Session]


def _program() -> str:
    program = Path(sys.argv[0])
    return f"python -m {program.parent.name}" if program.name == "__main__.py" else program.name
