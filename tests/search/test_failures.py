from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from replay import ReplayExecutor, computed_curve, replaying

import ir2search as ir
from ir2search.errors import RunError
from ir2search.search.failures import failure_reason, record_failure
from ir2search.study.loading import parse_study


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
    trained = tmp_path / "run" / "trials" / str(table.loc["trained", "number"])
    assert not (trained / "error.txt").exists()


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_failed_trials_can_be_asked_for_again(
    quick: dict[str, Any], tmp_path: Path, sampler: str
) -> None:
    """The second network fails, which changes nothing of what is proposed and found."""
    trained: list[str] = []

    def broken_once(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        trained.append(candidate.id)
        if list(dict.fromkeys(trained))[1:2] == [candidate.id]:
            raise IndexError("no weights")
        return computed_curve(candidate, seed, epochs)

    study, folder = (
        parse_study({**quick, "trials": 3, "sampler": sampler}, "a.toml"),
        tmp_path / "r",
    )
    ir.run(study, folder, device="cpu", executor=replaying(curve=broken_once))
    assert ir.status(folder).counts["failed"] == 1
    ir.run(study, folder, device="cpu", executor=ReplayExecutor)
    assert ir.status(folder).counts["failed"] == 1, "nobody asked for it again"
    for _ in range(2):
        ir.run(study, folder, device="cpu", executor=ReplayExecutor, retry_failed=True)
    ir.run(study, tmp_path / "whole", device="cpu", executor=ReplayExecutor)
    table = ir.trials(folder)
    first = table[table["outcome"].str.startswith("IndexError")]
    assert list(first["state"]) == ["duplicate"]
    assert list(first["duplicate_of"]) == [table["number"].iloc[-1]], "and it is asked for once"
    columns = ["state", "accuracy", "test_accuracy"]
    found, whole = (
        each[each["state"] == "trained"].set_index("candidate_id")[columns]
        for each in (table, ir.trials(tmp_path / "whole"))
    )
    pd.testing.assert_frame_equal(found.sort_index(), whole.sort_index())


def test_a_trial_that_failed_at_a_rung_can_be_asked_for_again(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    trained: list[str] = []

    def fails_at_its_end(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        trained.append(candidate.id)
        return computed_curve(candidate, seed, 1 if trained.count(candidate.id) > 1 else epochs)

    quick |= {"trials": 4, "rungs": {"minimum": 1, "factor": 2}}
    study, folder = parse_study(quick, "a.toml"), tmp_path / "run"
    ir.run(study, folder, device="cpu", executor=replaying(curve=fails_at_its_end))
    failed = ir.trials(folder).query("state == 'failed'")
    assert len(failed) > 0
    status = ir.run(study, folder, device="cpu", executor=ReplayExecutor, retry_failed=True)
    assert status.counts["failed"] == status.counts["unfinished"] == 0
    assert status.counts["trained"] + status.counts["stopped"] == 4
    ended = ir.trials(folder).query("state in ['trained', 'stopped']")
    assert set(failed["candidate_id"]) <= set(ended["candidate_id"])


def test_a_trial_that_fails_again_stays_failed(quick: dict[str, Any], tmp_path: Path) -> None:
    def fail(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        raise IndexError("no weights")

    study, folder = parse_study({**quick, "trials": 2}, "a.toml"), tmp_path / "run"
    for _ in range(2):
        status = ir.run(
            study, folder, device="cpu", executor=replaying(curve=fail), retry_failed=True
        )
        assert status.counts["failed"] == 2
        assert status.all_failed
    assert sorted(status.failures) == list(ir.trials(folder)["number"])[-2:]
    assert not ir.run(study, folder, executor=ReplayExecutor, retry_failed=True).all_failed


class Failing(ir.RunObserver):
    def on_step(self, number: int, progress: float) -> None:
        raise ZeroDivisionError("of the observer")

    def on_trial_end(self, *_: object) -> None:
        raise ZeroDivisionError("of the observer")


def test_an_observer_that_fails_is_logged_once_and_costs_no_trial(
    quick: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = parse_study({**quick, "trials": 2}, "a.toml")
    ir.run(study, tmp_path / "run", executor=ReplayExecutor, observer=Failing())
    assert ir.status(tmp_path / "run").counts["trained"] == 2
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(" failed, and")[0] for line in said] == [
        "Failing.on_step",
        "Failing.on_trial_end",
    ]


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


def test_a_reason_with_a_name_that_is_not_utf8_is_kept(
    quick: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        raise LookupError("no file a\udcff.png")

    study = parse_study({**quick, "trials": 1}, "a.toml")
    status = ir.run(study, tmp_path / "run", executor=replaying(curve=fail))
    (reason,) = status.failures.values()
    assert reason == "LookupError: no file a\\udcff.png; see trials/0/error.txt"
    assert "a\\udcff.png" in (tmp_path / "run/trials/0/error.txt").read_text()
    assert "a\\udcff.png" in caplog.text
    caplog.text.encode()


@pytest.mark.parametrize("which", ["folder", "data"])
def test_a_path_that_is_not_utf8_is_refused(
    quick: dict[str, Any], tmp_path: Path, which: str
) -> None:
    place = tmp_path / "a\udcff"
    for index, kind in enumerate(["train/a", "train/b", "test/a", "test/b"] * 8):
        (place / kind).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), index).save(place / kind / f"{index}.png")
    quick["data"] = {"source": "folder", "size": 8, "validation": 0.25}
    folder, data = (place / "run", None) if which == "folder" else (tmp_path / "run", place)
    with pytest.raises(RunError, match="the path is not UTF-8; rename the folder"):
        ir.run(parse_study(quick, "a.toml"), folder, data=data, executor=ReplayExecutor)
    assert not folder.exists()
