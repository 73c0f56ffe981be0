from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import ir2search as ir
from ir2search.cli.show_runs import show_status
from ir2search.files import locked
from ir2search.runs.members import member_folder
from ir2search.runs.running import RunningTraining, running_trainings
from ir2search.study.sections import SupernetSection


def test_trainings_that_go_on_are_read_from_their_files(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "quick"
    shutil.copytree(finished_run, folder)
    run = ir.Run.open(folder)
    one, two, three = ir.trials(folder).query("state == 'trained'")["number"].tolist()[:3]
    records = [
        replace(each, state="unfinished") if each.number in (one, two, three) else each
        for each in run.records()
    ]
    curve = run.folder_of(one) / "curve.jsonl"
    curve.write_text(curve.read_text().splitlines()[0] + "\n")
    (run.folder_of(two) / "curve.jsonl").unlink()
    first = json.loads(curve.read_text())
    with locked(run.folder_of(one)), locked(run.folder_of(two)):
        found = list(running_trainings(run, records))
    expected = RunningTraining(one, 0, 1, 2, first["validation_accuracy"], first["seconds"])
    assert found == [expected, RunningTraining(two, 0, 0, 2, None, None)], "nobody trains three"


def test_shared_weights_and_members_of_the_front_are_trainings_too(
    finished_run: Path, tmp_path: Path
) -> None:
    run = ir.Run.open(shutil.copytree(finished_run, tmp_path / "quick"))
    section = SupernetSection(epochs=9, members="fine-tuned", finetune=4)
    run = ir.Run(run.folder, run.study.model_copy(update={"supernet": section}))
    curve = (run.folder_of(0) / "curve.jsonl").read_text()
    (run.folder / "supernet").mkdir()
    (run.folder / "supernet" / "curve.jsonl").write_text(curve)
    member = member_folder(run.folder_of(1), "fine-tuned", 4)
    member.mkdir(parents=True)
    with locked(run.folder / "supernet"), locked(member):
        shared, tuned = running_trainings(run, run.records())
    assert (shared.number, shared.epoch, shared.epochs) == (None, len(curve.splitlines()), 9)
    assert shared.accuracy is not None
    assert shared.seconds_left is not None
    assert tuned == RunningTraining(1, 0, 0, 4, None, None)


def test_a_status_shows_what_each_worker_trains(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = (
        RunningTraining(None, 0, 1, 9, 0.5, 60.0),
        RunningTraining(7, 0, 3, 12, 0.913, 90.0),
        RunningTraining(1, 2, 0, 12, None, None),
    )
    show_status(replace(ir.status(finished_run), running=running), as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    start = lines.index("in training")
    assert lines[start + 1 : start + 5] == [
        "trial epoch validation so far time left",
        "shared weights 1 of 9 50.0% 60 s",
        "7 3 of 12 91.3% 90 s",
        "1, seed 2 0 of 12 - -",
    ]
