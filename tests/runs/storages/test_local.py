from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from ir2search.errors import RunError
from ir2search.runs.storages import RunStudy
from ir2search.runs.storages.local import open_journal, open_sqlite


def begin(file: Path) -> RunStudy:
    backend = open_journal(file, writes=True)
    optuna.create_study(study_name="a", storage=backend, directions=["minimize"] * 2)
    return RunStudy("a", backend)


def test_a_trial_of_an_earlier_process_is_continued(tmp_path: Path) -> None:
    begin(tmp_path / "a.journal").ask().set_user_attr("driver", "one")
    again = RunStudy("a", open_journal(tmp_path / "a.journal", writes=True))
    trial = again.live_trial(0)
    trial.set_user_attr("outcome", "trained")
    again.tell(trial, [1.0, 2.0])
    (kept,) = RunStudy("a", open_journal(tmp_path / "a.journal", writes=False)).get_trials()
    assert kept.user_attrs == {"driver": "one", "outcome": "trained"}
    assert kept.values == [1.0, 2.0]


def test_a_partial_line_and_a_stale_lock_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "a.journal"
    begin(file).ask()
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"op_code":')
    (tmp_path / "a.journal.lock").touch()
    study = RunStudy("a", open_journal(file, writes=True))
    assert file.read_bytes() == whole
    study.ask()
    assert len(study.get_trials()) == 2


@pytest.mark.parametrize("line", [b"not JSON\n", b"[]\n", b'{"op_code": 4}\n'])
def test_a_damaged_journal_is_named(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "a.journal"
    begin(file).ask()
    file.write_bytes(file.read_bytes() + line + b"{}\n")
    with pytest.raises(RunError, match=r"a\.journal: damaged: .*; put it back"):
        open_journal(file, writes=False)


def test_the_database_of_an_older_run_is_read(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    kept = optuna.create_study(study_name="a", storage=f"sqlite:///{file}", direction="minimize")
    kept.ask()
    study = RunStudy("a", open_sqlite(file, writes=True))
    study.tell(study.live_trial(0), 1.0)
    assert [trial.values for trial in study.get_trials()] == [[1.0]]
