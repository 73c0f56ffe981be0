"""Which images a network classifies correctly, for tests of whether two networks differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from ir2search.files import read_json, write_json
from ir2search.runs.layout import HITS_FILE
from ir2search.validation import checked

Bits = Annotated[str, Field(pattern="^[01]*$")]


def write_hits(folder: Path, hits: Mapping[str, np.ndarray]) -> None:
    """Write the hits of a trial into its folder, by name of the split."""
    bits = {split: "".join("01"[int(hit)] for hit in each) for split, each in hits.items()}
    write_json(folder / HITS_FILE, bits)


def read_hits(folder: Path) -> np.ndarray | None:
    """The hits of a trial on the validation images, (images) bool; None if they are not kept.

    Raises:
        RunError: the file is damaged.
    """
    file = folder / HITS_FILE
    if not file.exists():
        return None
    bits = checked(read_json(file), _HitsFile, file).validation
    return np.frombuffer(bits.encode(), dtype=np.uint8) == ord("1")


@dataclass(frozen=True)
class _HitsFile:
    validation: Bits
