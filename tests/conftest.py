from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

# Each of pytest's workers has a core of its own; inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10"

# A study of seconds: real digits, networks of two channels, two epochs.
QUICK: dict[str, Any] = {
    "name": "quick",
    "trials": 5,
    "sampler": "random",
    "objectives": ["accuracy", "ops"],
    "data": {"source": "digits", "size": 8, "validation": 0.2},
    "space": {
        "depth": 8,
        "width": [0.125, 0.25],
        "threshold": [0.0, 0.9],
        "fusion": ["dense", "compact"],
        "taps": {"stem": [True, False], "stage1": [True, False]},
    },
    "recipe": {
        "epochs": 2,
        "batch_size": 128,
        "optimizer": "adamw",
        "lr": 0.02,
        "crop_padding": 1,
        "flip": False,
    },
}


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """Real CIFAR-10 in the hub's parquet layout, where this checkout has it beside it."""
    if not CIFAR10.is_dir():
        pytest.skip(f"needs CIFAR-10 as parquet in {CIFAR10}")
    return CIFAR10


@pytest.fixture
def quick() -> dict[str, Any]:
    """The values of a study file that takes seconds, to be changed at will."""
    return {key: dict(value) if isinstance(value, dict) else value for key, value in QUICK.items()}


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write values as a study file in the test's folder."""

    def write(values: dict[str, Any]) -> Path:
        file = tmp_path / f"{values['name']}.toml"
        file.write_text(tomli_w.dumps(values))
        return file

    return write


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick study that ran to its end; tests only read it."""
    import ir2search as ir
    from ir2search.search.study import parse_study

    folder = tmp_path_factory.mktemp("runs") / "quick"
    ir.run(parse_study(QUICK, "quick.toml"), folder, device="cpu")
    return folder
