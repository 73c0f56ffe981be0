from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import tomli_w

import ir2search as ir
from ir2search.runs import watch
from ir2search.runs.saved import saved_study
from ir2search.runs.storages import ENDED, open_storage


def copy_that_ended(run: Path, target: Path, ended: str) -> Path:
    shutil.copytree(run, target)
    open_storage(target, saved_study(target), create=True).set_user_attr(ENDED, ended)
    return target


def test_a_run_that_trained_all_candidates_has_ended(finished_run: Path) -> None:
    status = ir.status(finished_run)
    assert status.has_ended
    assert status.ended == "all candidates are trained"
    assert [each.front["number"].tolist() for each in watch(finished_run)] == [
        status.front["number"].tolist()
    ]


def test_a_run_that_goes_on_has_not_ended(finished_run: Path, tmp_path: Path) -> None:
    assert not ir.status(copy_that_ended(finished_run, tmp_path / "a", "")).has_ended


def test_a_run_that_met_a_limit_has_ended(finished_run: Path, tmp_path: Path) -> None:
    run = copy_that_ended(finished_run, tmp_path / "a", "12 epochs are spent")
    assert ir.status(run).ended == "12 epochs are spent"
    assert len(list(watch(run))) == 1


def test_watching_gives_each_change_until_the_run_has_ended(
    finished_run: Path, tmp_path: Path
) -> None:
    run = copy_that_ended(finished_run, tmp_path / "a", "")
    storage = open_storage(run, saved_study(run), create=True)
    looks = []
    for status in watch(run, pause=0):
        looks.append(status.ended)
        storage.set_user_attr(ENDED, "12 epochs are spent")
    assert looks == [None, "12 epochs are spent"]


@pytest.mark.parametrize(("share", "is_told"), [(0.0, False), (2e-5, True), (0.2, False)])
def test_a_threshold_that_only_costs_time_is_told(
    finished_run: Path, tmp_path: Path, share: float, is_told: bool
) -> None:
    run = copy_that_ended(finished_run, tmp_path / "a", "")
    study = run / "study.toml"
    values = tomllib.loads(study.read_text())
    values["space"]["threshold"] = 0.15
    study.write_text(tomli_w.dumps(values))
    member = int(ir.front(run)["number"].iloc[0])
    file = run / "trials" / str(member) / "curve.jsonl"
    rows = [
        json.loads(line) | {"restricted_share": share} for line in file.read_text().splitlines()
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = [each for each in ir.status(run).advice if "threshold = 0 in [space]" in each]
    assert bool(told) == is_told
