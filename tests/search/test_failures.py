from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from replay import replaying

import ir2search as ir
from ir2search.search.failures import failure_reason, record_failure
from ir2search.study.schema import parse_study


def broken(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
    """A training that goes wrong for half of the networks."""
    if candidate.width == 0.25:
        raise IndexError(f"no weights\nof width {candidate.width}")
    return [0.5] * epochs


def test_a_trial_that_fails_keeps_its_traceback_and_the_study_goes_on(
    quick: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quick["space"] = {"depth": 8, "width": [0.125, 0.25], "threshold": 0.0, "fusion": "none"}
    study = parse_study({**quick, "trials": 2}, "a.toml")
    with caplog.at_level(logging.ERROR, "ir2search"):
        ir.run(study, tmp_path / "run", device="cpu", executor=replaying(curve=broken))
    table = ir.trials(tmp_path / "run").query("state != 'duplicate'").set_index("state")
    assert sorted(table.index) == ["failed", "trained"]
    number = table.loc["failed", "number"]
    assert table.loc["failed", "outcome"] == (
        f"IndexError: no weights; see trials/{number}/error.txt"
    )
    kept = (tmp_path / "run" / "trials" / str(number) / "error.txt").read_text()
    assert 'raise IndexError(f"no weights' in kept
    assert kept.endswith("IndexError: no weights\nof width 0.25\n")
    assert kept in caplog.text
    assert not (tmp_path / "run" / "trials" / str(table.loc["trained", "number"])).is_file()


def test_a_further_seed_that_fails_is_named(quick: dict[str, Any], tmp_path: Path) -> None:
    class Remarks(ir.RunObserver):
        given: list[str] = []  # noqa: RUF012

        def on_remark(self, number: int, remark: str) -> None:
            self.given.append(remark)

    first: list[int] = []

    def curve(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        first.append(seed)
        if seed != first[0]:
            raise ValueError
        return [0.5] * epochs

    study = parse_study({**quick, "trials": 1, "confirm": {"seeds": 1}}, "a.toml")
    remarks = Remarks()
    executor = replaying(curve=curve)
    ir.run(study, tmp_path / "run", device="cpu", executor=executor, observer=remarks)
    assert remarks.given == ["further seed 1 failed: ValueError; see trials/0/seeds/1/error.txt"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("can't allocate memory: 8 bytes"), "out of memory: can't allocate memory: 8"),
        (RuntimeError("shapes differ\nmore"), "RuntimeError: shapes differ"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_reason_is_one_line(error: Exception, reason: str) -> None:
    assert failure_reason(error).startswith(reason)
    assert "\n" not in failure_reason(error)


def test_a_failure_without_a_traceback_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "0"
    assert record_failure(tmp_path, folder, "diverged", None) == "diverged"
    assert not folder.exists()
