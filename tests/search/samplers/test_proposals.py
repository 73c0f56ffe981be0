"""The same study and seed give the same candidates, in every version of this package.

The samplers of Optuna are not listed: their proposals depend on Optuna's version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from replay import ReplayExecutor

import ir2search as ir
from ir2search.study.loading import parse_study

RUNGS = {"minimum": 1, "factor": 2}
# the first digits of each candidate's id, and the epochs that it was trained for
GRID = "965f5e:4 45fee4:4 56a42f:4 f224a1:4 b0b452:4 288c9d:4 cde3b0:4 386774:4"
GRID_RUNGS = "965f5e:2 45fee4:4 56a42f:1 f224a1:1 b0b452:4 288c9d:2 cde3b0:1 386774:2"
EHVI = "8bf826:4 3e01ef:4 0c1091:4 371b51:4 45fee4:4 301ba3:4 412b78:4 0a1268:4"
EHVI_RUNGS = "8bf826:4 0c1091:4 371b51:4 6fe456:1 152a2f:4 386774:4 7c9092:4 6120d7:1"


@pytest.mark.parametrize(
    ("sampler", "rungs", "expected"),
    [
        ("grid", None, GRID),
        ("grid", RUNGS, GRID_RUNGS),
        ("ehvi", None, EHVI),
        ("ehvi", RUNGS, EHVI_RUNGS),
    ],
)
def test_proposals_and_promotions_stay_the_same(
    quick: dict[str, Any],
    tmp_path: Path,
    sampler: str,
    rungs: dict[str, int] | None,
    expected: str,
) -> None:
    quick["recipe"]["epochs"] = 4
    values = {**quick, "sampler": sampler, "trials": 8} | ({"rungs": rungs} if rungs else {})
    ir.run(parse_study(values, "a.toml"), tmp_path / "run", executor=ReplayExecutor)
    table = ir.trials(tmp_path / "run")
    trained = table[table["epochs"] > 0]
    pairs = zip(trained["candidate_id"], trained["epochs"], strict=True)
    assert " ".join(f"{name[:6]}:{epochs}" for name, epochs in pairs) == expected
