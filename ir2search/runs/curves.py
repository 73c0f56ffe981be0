"""Learning curves in a run's folder."""

from __future__ import annotations

from pathlib import Path

from ir2search.files import read_json_lines
from ir2search.training import EpochResult
from ir2search.validation import checked


def read_curve(file: Path) -> list[EpochResult]:
    """A learning curve; empty if the training was never started.

    Raises:
        RunError: the file is damaged.
    """
    return checked(read_json_lines(file), list[EpochResult], file) if file.exists() else []
