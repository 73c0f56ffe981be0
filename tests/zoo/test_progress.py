from __future__ import annotations

from pathlib import Path

import pytest

import ir2search as ir
from ir2search.zoo.progress import TrainingProgress


def test_a_training_without_a_terminal_says_each_minute_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with TrainingProgress() as progress:
        progress.on_training(Path("runs/mine"), ir.Candidate(), ir.Recipe(epochs=10))
        for step in range(5):
            now[0] = 30.0 * step
            progress.on_training_step(2 + step / 10)  # it continues after two epochs
    assert capsys.readouterr().err.splitlines() == [
        "2.2 of 10 epochs, about 39 minutes left",
        "2.4 of 10 epochs, about 38 minutes left",
    ]
