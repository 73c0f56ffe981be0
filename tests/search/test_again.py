from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from replay import replaying

import ir2search as ir
from ir2search.errors import RunError
from ir2search.search.again import rerun_folder


def test_another_seed_gives_another_run_beside_the_first(
    finished_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "quick"
    shutil.copytree(finished_run, folder)
    before = sorted(file.relative_to(folder) for file in folder.rglob("*"))
    status = ir.rerun(folder, seed=1, device="cpu", executor=replaying())
    assert status.folder == tmp_path / "runs" / "quick-seed-1"
    assert ir.load_study(status.folder / "study.toml").seed == 1
    tried = [set(ir.trials(each)["candidate_id"]) for each in (folder, status.folder)]
    assert tried[0] != tried[1]
    assert sorted(file.relative_to(folder) for file in folder.rglob("*")) == before
    assert rerun_folder(ir.Run.open(folder), 0).name == "quick-rerun"


def test_other_images_than_those_of_the_run_are_refused(finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "quick"
    shutil.copytree(finished_run, folder)
    study = folder / "study.toml"
    study.write_text(study.read_text().replace("validation = 0.2", "validation = 0.3"))
    with pytest.raises(RunError, match="images"):
        ir.rerun(folder, device="cpu", executor=replaying())
    assert not (tmp_path / "quick-rerun").exists()
