from __future__ import annotations

import os
from pathlib import Path

import pytest

# Each of pytest's workers has a core of its own; inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10"


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """Real CIFAR-10 in the hub's parquet layout, where this checkout has it beside it."""
    if not CIFAR10.is_dir():
        pytest.skip(f"needs CIFAR-10 as parquet in {CIFAR10}")
    return CIFAR10
