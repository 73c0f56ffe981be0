from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from replay import ReplayExecutor

import ir2search as ir
from ir2search.errors import RunError
from ir2search.study.loading import parse_study


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB, which a quick study fills."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_named_and_the_run_can_continue(
    quick: dict[str, Any], disk: Path, finished_run: Path, workers: int
) -> None:
    study = parse_study(quick, "a.toml")
    with pytest.raises(RunError, match=r"disk.*: (No space left|.*full).*; \w+ that and run"):
        ir.run(study, disk / "run", device="cpu", workers=workers)
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    ir.run(study, disk / "run", device="cpu", workers=workers)
    columns = ["accuracy", "test_accuracy", "epochs"]
    one, other = (
        ir.trials(folder).query("state == 'trained'").set_index("candidate_id").sort_index()
        for folder in (disk / "run", finished_run)
    )
    pd.testing.assert_frame_equal(one[columns], other[columns], check_dtype=False)


@pytest.mark.parametrize("storage", ["journal", "sqlite"])
def test_a_disk_that_is_full_at_the_first_write_of_the_storage_is_named(
    quick: dict[str, Any], disk: Path, storage: str
) -> None:
    """The images are in the cache already."""
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    study = parse_study({**quick, "trials": 1}, "a.toml")
    ir.run(study, disk / "run", device="cpu", executor=ReplayExecutor)
    if storage == "sqlite":
        journal = JournalStorage(JournalFileBackend(str(disk / "run" / "study.journal")))
        optuna.copy_study(
            from_study_name="quick",
            to_study_name="quick",
            from_storage=journal,
            to_storage=f"sqlite:///{disk}/run/study.db",
        )
        (disk / "run" / "study.journal").unlink()
    else:
        shutil.rmtree(disk / "run")
    used = shutil.disk_usage(disk).used // 1024
    subprocess.run(["mount", "-o", f"remount,size={used + 16}k", str(disk)], check=True)
    more = parse_study({**quick, "trials": 3}, "a.toml")
    with pytest.raises(RunError, match=r"disk.*(No space left|disk is full).*; \w+ that and run"):
        ir.run(more, disk / "run", device="cpu", executor=ReplayExecutor)


def test_a_disk_that_is_full_of_decoded_images_is_named(quick: dict[str, Any], disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=8k", str(disk)], check=True)
    with pytest.raises(RunError, match=r"disk/\.cache/.*: No space left on device; \w+ that and"):
        ir.run(parse_study(quick, "a.toml"), disk / "run", device="cpu")


def test_a_run_on_a_read_only_disk_can_be_read(quick: dict[str, Any], disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    ir.run(parse_study(quick, "a.toml"), disk / "run", executor=ReplayExecutor)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert ir.status(disk / "run").counts["trained"] == 5
    more = parse_study({**quick, "trials": 6}, "a.toml")
    with pytest.raises(RunError, match=r"disk.*[Rr]ead-only.*; \w+ that and run"):
        ir.run(more, disk / "run", executor=ReplayExecutor)
    with pytest.raises(RunError, match=r"disk.*[Rr]ead-only.*; \w+ that and run"):
        ir.run(more, disk / "other", executor=ReplayExecutor)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_training_with_a_truncated_checkpoint_starts_again(
    quick: dict[str, Any], tmp_path: Path, finished_run: Path, share: float
) -> None:
    class Cut(ir.RunObserver):
        def on_epoch(self, number: int, result: object) -> None:
            file = tmp_path / f"run/trials/{number}/last.safetensors"
            file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
            raise KeyboardInterrupt

    study = parse_study(quick, "a.toml")
    with pytest.raises(KeyboardInterrupt):
        ir.run(study, tmp_path / "run", device="cpu", observer=Cut())
    told = Remarks()
    ir.run(study, tmp_path / "run", device="cpu", observer=told)
    assert len(told.given) == 1
    assert "last.safetensors: cannot be read as a checkpoint" in told.given[0]
    pd.testing.assert_frame_equal(
        ir.trials(tmp_path / "run").drop(columns="seconds"),
        ir.trials(finished_run).drop(columns="seconds"),
    )


class Remarks(ir.RunObserver):
    def __init__(self) -> None:
        self.given: list[str] = []

    def on_remark(self, number: int, remark: str) -> None:
        self.given.append(remark)


def test_a_clock_that_jumps_does_not_end_the_search(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    real, jumps = time.time, iter([0.0, 1e9, -1e9] * 10_000)
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    study = parse_study({**quick, "stop": {"hours": 24}}, "a.toml")
    status = ir.run(study, tmp_path / "run", executor=ReplayExecutor)
    assert status.counts["trained"] == 5
