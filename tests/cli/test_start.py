"""The first commands of a new user: init, studies, presets, doctor."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import ir2search as ir
from ir2search.cli.show_networks import show_presets
from ir2search.study import shipped_studies
from ir2search.study.survey import survey_presets, survey_studies

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_init_writes_a_study_that_runs(ir2search: Command, tmp_path: Path) -> None:
    done = ir2search("init", "birds/first.toml")
    assert done.returncode == 0, done.stderr
    study = ir.load_study(tmp_path / "birds" / "first.toml")
    assert study.name == "first"
    assert study.data.source == "digits"
    again = ir2search("init", "birds/first.toml")
    assert again.returncode == 2
    assert again.stderr == ("ir2search: birds/first.toml: exists already; choose another name\n")


def test_the_name_of_a_study_is_made_from_any_name_of_a_file(
    ir2search: Command, tmp_path: Path
) -> None:
    done = ir2search("init", "my:birds.toml")
    assert done.returncode == 0, done.stderr
    assert ir.load_study(tmp_path / "my:birds.toml").name == "my-birds"


def test_init_writes_a_study_for_a_folder_of_images(ir2search: Command, tmp_path: Path) -> None:
    (tmp_path / "my images").mkdir()
    done = ir2search("init", "--data", "my images", "--json")
    assert json.loads(done.stdout) == {"file": "my-study.toml"}
    data = ir.load_study(tmp_path / "my-study.toml").data
    assert data.source == "folder"
    assert data.path == str(tmp_path / "my images")


def test_studies_lists_trials_epochs_and_ops(ir2search: Command) -> None:
    survey_studies(ops=True)  # the commands are forks, which find the costs counted
    listed = json.loads(ir2search("studies", "--ops", "--json").stdout)
    assert [row["name"] for row in listed] == list(shipped_studies())
    table = ir2search("studies", "--ops").stdout
    for row in listed:
        assert row["name"] in table
        assert row["purpose"] in " ".join(table.split())  # the column folds
    digits = next(row for row in listed if row["name"] == "digits")
    values = tomllib.loads(Path(digits["file"]).read_text())
    assert digits["trials"] == values["trials"]
    assert digits["epochs"] == values["trials"] * values["recipe"]["epochs"]
    space = ir.load_study("digits").space.with_data((1, 16, 16), 10)
    points = space.points(random.Random(0), 20)
    costs = [ir.cost(space.candidate(point)).ops for point in points]
    assert digits["least_ops"] == min(ir.cost(corner).ops for corner in space.corners())
    assert digits["least_ops"] <= min(costs)
    assert digits["most_ops"] >= max(costs)
    largest = ir.Candidate(depth=14, fusion="dense", image=(1, 16, 16))
    assert digits["most_ops"] == ir.cost(largest).ops


def test_a_list_of_studies_counts_nothing_and_so_loads_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['ir2search', 'studies', '--json']\n"
        "from ir2search.cli.app import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *printed, loaded = shown.stdout.splitlines()
    assert loaded == "False"
    listed = json.loads("\n".join(printed))
    assert [row["name"] for row in listed] == list(shipped_studies())
    assert {row["least_ops"] for row in listed} == {None}


def test_names_of_presets_are_not_cut_at_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ir2search.cli.show.PIPE_WIDTH", 80)
    show_presets(survey_presets(), as_json=False)
    first = [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert first[1 : 1 + len(ir.presets())] == list(ir.presets())


def test_presets_lists_costs_and_epochs(ir2search: Command) -> None:
    listed = json.loads(ir2search("presets", "--json").stdout)
    assert [row["name"] for row in listed] == list(ir.presets())
    for row in listed[:3]:
        price = ir.cost(ir.preset(row["name"]))
        assert (row["ops"], row["memory_bytes"]) == (price.ops, price.memory_bytes)
        assert row["epochs"] == ir.recipes()[row["name"]].total_epochs


def test_doctor_reports_data_that_cannot_be_read(ir2search: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = ir2search("doctor", "--data", "empty", "--json")
    assert done.returncode == 1, "a study could not run on this data"
    (data,) = [row for row in json.loads(done.stdout) if row["subject"] == "data"]
    assert data["state"] == "wrong"
    assert "empty" in data["found"]


def test_skipped_files_are_reported_without_verbose(ir2search: Command, tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(2):
            file = tmp_path / "birds" / split / "a" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(file)
    (tmp_path / "birds" / "train" / "a" / "x.\x1b[31m").write_text("x")
    done = ir2search("doctor", "--data", "birds")
    assert done.stderr == "ir2search: birds/train: skipped '.\\x1b[31m' files (1)\n"
