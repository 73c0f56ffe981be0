from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import ir2search as ir


@pytest.fixture
def found() -> Callable[[Path], pd.DataFrame]:
    """What a run found, whatever the order in which its trials ended; all have ended."""

    def read(folder: Path) -> pd.DataFrame:
        table = ir.trials(folder)
        assert not table["state"].isin(["unfinished", "waiting"]).any()
        trained = table[table["state"] == "trained"].set_index("candidate_id").sort_index()
        assert trained.index.is_unique
        for number, epochs in zip(trained["number"], trained["epochs"], strict=True):
            curve = pd.read_json(folder / f"trials/{number}/curve.jsonl", lines=True)
            assert list(curve["epoch"]) == list(range(1, epochs + 1))
        return trained[["accuracy", "test_accuracy", "ops", "best_epoch", "epochs"]]

    return read


@pytest.fixture
def same(found: Callable[[Path], pd.DataFrame]) -> Callable[[Path, Path], None]:
    """Check that two runs found the same.

    The sampler of `quick` is random, so that the order of results changes no proposal.
    """

    def check(one: Path, other: Path) -> None:
        pd.testing.assert_frame_equal(found(one), found(other), check_dtype=False)

    return check
