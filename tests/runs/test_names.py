from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.runs import find_run, runs_folder


def test_a_name_is_a_run_in_the_folder_of_all_runs(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_run("quick") == Path("quick"), "there is no such run"
    monkeypatch.setenv("IR2SEARCH_RUNS", str(finished_run.parent))
    assert runs_folder() == finished_run.parent
    assert find_run("quick") == finished_run
    assert find_run(finished_run) == finished_run
    Path("quick").mkdir()
    assert find_run("quick") == finished_run, "a folder without a run does not hide it"
    Path("quick", "study.toml").touch()
    assert find_run("quick") == Path("quick"), "a run at this path comes first"
