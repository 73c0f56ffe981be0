from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from replay import replaying

import ir2search as ir
from ir2search.search.executors import (
    ExecutorSettings,
    ProcessExecutor,
    TrainingContext,
    TrainingJob,
)
from ir2search.study.schema import parse_study
from ir2search.training import EpochResult


class Kill(ir.RunObserver):
    """Kills a worker during a training, the given number of times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def on_epoch(self, *_: object) -> None:
        if self.left == 0:
            return
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            busiest = sorted(workers_of(psutil.Process()), key=lambda child: child.cpu_times().user)
            if busiest:  # none if the last one was killed just now
                busiest[-1].kill()
                self.left -= 1


def workers_of(driver: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a driver, without multiprocessing's resource tracker."""
    alive = [child for child in driver.children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
def test_two_workers_find_the_same_as_one(
    quick: dict[str, Any], tmp_path: Path, finished_run: Path, same: Callable[[Path, Path], None]
) -> None:
    study = parse_study({**quick, "confirm": {"seeds": 1}}, "a.toml")
    ir.run(study, tmp_path / "run", device="cpu", workers=2)
    same(tmp_path / "run", finished_run)
    assert all(len(each) == 2 for each in ir.front(tmp_path / "run")["seed_test_accuracies"])
    assert not workers_of(psutil.Process())


@pytest.mark.slow
def test_no_trial_is_lost_when_a_worker_is_killed(
    quick: dict[str, Any], tmp_path: Path, finished_run: Path, same: Callable[[Path, Path], None]
) -> None:
    study = parse_study(quick, "a.toml")
    ir.run(study, tmp_path / "run", device="cpu", workers=2, observer=Kill(2))
    same(tmp_path / "run", finished_run)


def test_rungs_and_further_seeds_run_at_the_same_time(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    values = {**quick, "rungs": {"factor": 2}, "confirm": {"seeds": 2}, "sampler": "tpe"}
    study, executor = parse_study(values, "a.toml"), replaying(workers=2)
    ir.run(study, tmp_path / "run", device="cpu", executor=executor)
    table, front = ir.trials(tmp_path / "run"), ir.front(tmp_path / "run")
    assert table["state"].isin(["trained", "stopped"]).sum() == 5
    assert not table["state"].isin(["waiting", "unfinished"]).any()
    assert all(len(accuracies) == 3 for accuracies in front["seed_test_accuracies"])


@pytest.mark.slow
def test_workers_end_with_a_killed_driver_and_its_run_can_continue(
    quick: dict[str, Any],
    tmp_path: Path,
    finished_run: Path,
    write_study: Callable[[dict[str, Any]], Path],
    same: Callable[[Path, Path], None],
) -> None:
    command = _command(write_study(quick), tmp_path)
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _await_curve(tmp_path / "quick", driver)
    workers = workers_of(psutil.Process(driver.pid))
    assert len(workers) == 2
    time.sleep(random.Random(0).uniform(0, 0.3))
    driver.kill()
    driver.wait()
    ir.run(parse_study(quick, "quick.toml"), tmp_path / "quick", device="cpu")
    same(tmp_path / "quick", finished_run)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


@pytest.mark.slow
def test_ctrl_c_ends_workers_cleanly(
    quick: dict[str, Any],
    tmp_path: Path,
    finished_run: Path,
    write_study: Callable[[dict[str, Any]], Path],
    same: Callable[[Path, Path], None],
) -> None:
    command = _command(write_study(quick), tmp_path)
    driver = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _await_curve(tmp_path / "quick", driver)
    os.killpg(driver.pid, signal.SIGINT)  # like a terminal: workers get it too
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "ir2search: stopped; run the same command again to continue"
    ir.run(parse_study(quick, "quick.toml"), tmp_path / "quick", device="cpu")
    same(tmp_path / "quick", finished_run)


def test_a_job_whose_workers_all_die_fails_and_the_study_goes_on(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ir2search.search.executors.processes.ATTEMPTS", 2)
    quick["recipe"]["epochs"] = 12
    study, kill = parse_study({**quick, "trials": 2}, "a.toml"), Kill(2)
    ir.run(study, tmp_path / "run", device="cpu", executor=ProcessExecutor, observer=kill)
    table = ir.trials(tmp_path / "run").query("state != 'duplicate'").set_index("state")
    assert sorted(table.index) == ["failed", "trained"]
    assert table.loc["failed", "outcome"].startswith("its worker died 2 times")


class Epochs(ir.RunObserver):
    """The jobs that have trained an epoch."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def on_epoch(self, number: int, result: EpochResult) -> None:
        self.seen.add(number)


def test_workers_wait_between_two_steps_while_they_are_paused(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    quick["recipe"]["epochs"] = 10_000
    study, epochs, cpu = parse_study(quick, "a.toml"), Epochs(), torch.device("cpu")
    context = TrainingContext(study.recipe, None, None)  # type: ignore[arg-type]
    settings = ExecutorSettings(study, tmp_path / "run", context, [cpu] * 2, epochs, lambda: False)
    executor = ProcessExecutor(settings)
    candidate = ir.Candidate(depth=8, width=0.125, image=(1, 8, 8))
    for number in range(2):
        executor.submit(TrainingJob(number, candidate, tmp_path / str(number), seed=number))
    while len(epochs.seen) < 2:
        assert executor.wait() == []
    with executor.paused():
        curves = [(tmp_path / str(number) / "curve.jsonl").read_text() for number in range(2)]
        time.sleep(0.5)
        for number in range(2):
            assert (tmp_path / str(number) / "curve.jsonl").read_text() == curves[number]
    executor.interrupt()
    results = []
    while len(results) < 2:
        results += executor.wait()
    assert [(each.result, each.failure) for each in results] == [(None, None)] * 2
    executor.close()


def _command(file: Path, runs: Path) -> list[str]:
    module = [sys.executable, "-m", "ir2search.cli.app", "run", str(file), "--runs", str(runs)]
    return [*module, "--workers", "2", "--device", "cpu"]


def _await_curve(folder: Path, driver: subprocess.Popen[Any]) -> None:
    while not list(folder.glob("trials/*/curve.jsonl")) and driver.poll() is None:
        time.sleep(0.01)
