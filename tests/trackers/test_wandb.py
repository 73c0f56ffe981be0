"""Weights & Biases offline, with the real package: what its files hold."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import ir2search as ir

pytest.importorskip("wandb")
pytestmark = pytest.mark.filterwarnings("ignore")  # wandb's own


def test_a_trial_is_a_run_with_its_curve_and_its_parameters(
    search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("ir2search.trackers.base.Tracker._finish_run", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["ir2search", "--storage", "postgresql://me:hunter2@db/lab"])
    run = search(ir.trackers.WandB(), 1)
    (number,) = run.trials().query("state == 'trained'")["number"]
    (file,) = (run.folder / "trackers" / "wandb").glob("offline-run-*/*.wandb")
    content = file.read_bytes()  # records of protobuf, whose texts can be read
    curve = [str(row.validation_accuracy) for row in run.curve(int(number))]
    expected = ["quick", f"trial-{number}", "fusion_group_size", "validation_accuracy", *curve]
    assert [each for each in expected if each.encode() not in content] == []
    for each in (run.folder / "trackers").rglob("*"):
        assert not each.is_file() or b"hunter2" not in each.read_bytes(), each
