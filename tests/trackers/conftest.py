from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from replay import ReplayExecutor

import ir2search as ir
from ir2search.study.loading import parse_study
from ir2search.trackers import Tracker

Search = Callable[..., ir.Run]


@pytest.fixture
def search(tmp_path: Path, quick: dict[str, Any]) -> Search:
    """Run a study, or continue it, with replayed learning curves; a tracker is told."""

    def run(tracker: Tracker, trials: int = 3) -> ir.Run:
        study = parse_study(quick | {"trials": trials}, "quick.toml")
        ir.run(study, tmp_path / "quick", executor=ReplayExecutor, device="cpu", observer=tracker)
        return ir.Run.open(tmp_path / "quick")

    return run
