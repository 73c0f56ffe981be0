from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import ir2search as ir
from ir2search.runs import list_runs


def test_runs_are_listed_with_their_fronts_and_the_last_changed_is_first(
    finished_run: Path, tmp_path: Path
) -> None:
    for name in ("old", "new", "bad"):
        shutil.copytree(finished_run, tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "study.toml").write_text("trials = ")
    for name, seconds in (("old", 1_000_000), ("new", 3_000_000), ("bad", 2_000_000)):
        for path in (tmp_path / name).iterdir():
            os.utime(path, (seconds, seconds))
    runs = list_runs(tmp_path)
    assert [run.name for run in runs] == ["new", "bad", "old"]
    front = ir.front(finished_run)
    first = runs[0]
    assert (first.study, first.asked, first.trained) == ("quick", 5, 5)
    assert (first.front, first.best) == (len(front), front["accuracy"].max())
    assert first.changed == datetime.fromtimestamp(3_000_000, UTC)
    assert first.problem is None
    assert "study.toml" in (runs[1].problem or "")
    assert list_runs(tmp_path / "empty") == []
