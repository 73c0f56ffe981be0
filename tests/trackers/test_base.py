"""What all trackers share, with one that keeps what it is sent."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ir2search as ir
from ir2search.errors import InputError, MissingExtraError, RunError
from ir2search.trackers import Tracker, named_tracker
from ir2search.trackers.base import Parameter

URL = "https://me:hunter2@mlflow.lab/api"


class Kept(Tracker):
    name = "kept"

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.fails_at = fails_at
        self.begun: dict[str, Mapping[str, Parameter]] = {}
        self.epochs: list[tuple[str, int]] = []
        self.ended: list[tuple[str, str, Mapping[str, float]]] = []
        self.front: pd.DataFrame | None = None
        self.is_closed = False

    def open(self, folder: Path, title: str) -> None:
        assert folder.is_dir()

    def begin(
        self, key: str, parameters: Mapping[str, Parameter], costs: Mapping[str, float]
    ) -> None:
        assert costs["ops"] > 0
        self.begun[key] = parameters

    def log(self, key: str, epoch: int, values: Mapping[str, float]) -> None:
        if len(self.epochs) == self.fails_at:
            raise ConnectionError(f"no answer from {URL}")
        self.epochs.append((key, epoch))

    def end(self, key: str, state: str, values: Mapping[str, float]) -> None:
        self.ended.append((key, state, values))

    def finish(self, front: pd.DataFrame, report: Path | None) -> None:
        self.front = front

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is written by one test only: its figures take seconds."""

    def missing(run: ir.Run) -> Path:
        raise MissingExtraError("plotly is not installed")

    monkeypatch.setattr("ir2search.trackers.base.write_report", missing)


def test_each_trial_is_sent_with_its_parameters_epochs_and_results(search: Any) -> None:
    kept = Kept()
    run = search(kept)
    trained = run.trials().query("state == 'trained'").set_index("number")
    assert set(kept.begun) == {f"trial-{number}" for number in trained.index}
    for number, row in trained.iterrows():
        key = f"trial-{number}"
        assert kept.begun[key]["width"] == row["width"]
        assert [epoch for name, epoch in kept.epochs if name == key] == [1, 2]
        results = {k: v for name, _, found in kept.ended if name == key for k, v in found.items()}
        assert results["accuracy"] == pytest.approx(row["accuracy"])
        if row["test_accuracy"] == row["test_accuracy"]:
            assert results["test_accuracy"] == pytest.approx(row["test_accuracy"])
    assert kept.front is not None
    assert list(kept.front["number"]) == list(run.front()["number"])
    assert kept.is_closed


def test_a_run_that_continues_sends_nothing_twice(search: Any) -> None:
    first, second, third = Kept(), Kept(), Kept()
    search(first, 2)
    run = search(second, 4)
    assert first.epochs
    assert second.epochs
    sent = Counter(first.epochs + second.epochs)
    assert set(sent.values()) == {1}
    assert len(sent) == int(run.trials()["epochs"].sum())
    assert not first.begun.keys() & second.begun.keys()
    search(third, 4)
    assert (third.epochs, third.begun, third.ended) == ([], {}, [])


def test_a_tracker_that_fails_gets_the_rest_later_and_its_url_is_not_shown(
    search: Any, caplog: pytest.LogCaptureFixture
) -> None:
    failing, later = Kept(fails_at=3), Kept()
    with caplog.at_level(logging.WARNING):
        run = search(failing)
    assert "kept: ConnectionError: no answer from https://mlflow.lab/api; nothing" in caplog.text
    assert "hunter2" not in caplog.text
    assert len(failing.epochs) == 3
    assert len(run.trials().query("state == 'trained'")) == 3, "the run went on"
    later.send(run)
    assert Counter(failing.epochs + later.epochs).most_common(1)[0][1] == 1
    assert len(failing.epochs + later.epochs) == int(run.trials()["epochs"].sum())
    assert later.front is not None


def test_what_was_sent_before_a_failure_is_not_sent_again(search: Any) -> None:
    run = search(Kept())
    (run.folder / "trackers" / "kept.json").unlink()
    failing, later = Kept(fails_at=3), Kept()
    with pytest.raises(RunError, match="no answer"):
        failing.send(run)
    later.send(run)
    assert set(Counter(failing.epochs + later.epochs).values()) == {1}
    assert len(failing.begun) == 2
    assert not failing.begun.keys() & later.begun.keys()


def test_an_unknown_tracker_is_named(ir2search: Any) -> None:
    with pytest.raises(InputError, match="no tracker 'mlfow'; did you mean 'mlflow'"):
        named_tracker("mlfow")
    done = ir2search("run", "digits", "--log", "mlfow")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{name} is not installed; .*\[{name}\]"):
        named_tracker(name)
