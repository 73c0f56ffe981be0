from __future__ import annotations

import contextlib
import multiprocessing
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import torch
from background import Background, wait_for
from replay import replaying

import ir2search as ir
from ir2search.errors import RunError
from ir2search.search.executors import (
    ExecutorSettings,
    ProcessExecutor,
    TrainingContext,
    TrainingJob,
)
from ir2search.search.executors.processes import ATTEMPTS
from ir2search.study.loading import parse_study
from ir2search.training import EpochResult

TWO_WORKERS = ("--workers", "2", "--device", "cpu")


class Kill(ir.RunObserver):
    """Kills a worker during a training, the given number of times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def on_epoch(self, *_: object) -> None:
        if self.left == 0:
            return
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            workers = [psutil.Process(child.pid) for child in multiprocessing.active_children()]
            if workers:  # none if the last one was killed just now
                max(workers, key=lambda worker: worker.cpu_times().user).kill()
                self.left -= 1


def workers_of(driver: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a driver, without multiprocessing's resource tracker."""
    alive = [child for child in driver.children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_two_workers_find_the_same_as_one_when_some_are_killed(
    quick: dict[str, Any], tmp_path: Path, finished_run: Path, same: Callable[[Path, Path], None]
) -> None:
    study, kill = parse_study({**quick, "confirm": {"seeds": 1}}, "a.toml"), Kill(2)
    ir.run(study, tmp_path / "run", device="cpu", workers=2, observer=kill)
    assert kill.left == 0
    same(tmp_path / "run", finished_run)
    assert all(len(each) == 2 for each in ir.front(tmp_path / "run")["seed_test_accuracies"])
    assert not multiprocessing.active_children()


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
    begin: Callable[..., Background],
    quick: dict[str, Any],
    tmp_path: Path,
    finished_run: Path,
    write_study: Callable[[dict[str, Any]], Path],
    same: Callable[[Path, Path], None],
) -> None:
    driver = begin("run", write_study(quick), *TWO_WORKERS)
    wait_for(lambda: list(tmp_path.glob("runs/quick/trials/*/curve.jsonl")))
    workers = workers_of(psutil.Process(driver.pid))
    assert len(workers) == 2
    time.sleep(random.Random(0).uniform(0, 0.3))
    driver.kill()
    ir.run(parse_study(quick, "quick.toml"), tmp_path / "runs" / "quick", device="cpu")
    same(tmp_path / "runs" / "quick", finished_run)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


@pytest.mark.slow
def test_ctrl_c_ends_workers_cleanly(
    begin: Callable[..., Background],
    quick: dict[str, Any],
    tmp_path: Path,
    finished_run: Path,
    write_study: Callable[[dict[str, Any]], Path],
    same: Callable[[Path, Path], None],
) -> None:
    driver = begin("run", write_study(quick), *TWO_WORKERS)
    wait_for(lambda: list(tmp_path.glob("runs/quick/trials/*/curve.jsonl")))
    driver.interrupt()  # workers get it too
    done = driver.ended()
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()
    assert said[-1] == "ir2search: stopped; run the same command again to continue"
    ir.run(parse_study(quick, "quick.toml"), tmp_path / "runs" / "quick", device="cpu")
    same(tmp_path / "runs" / "quick", finished_run)


@pytest.mark.usefixtures("forked_workers")
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


@pytest.mark.usefixtures("forked_workers")
def test_a_network_that_ends_its_worker_fails_after_it_was_trained_alone(
    quick: dict[str, Any], write_study: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    quick["space"] = {"depth": 8, "width": [0.125, 0.25], "threshold": 0.0, "fusion": "none"}
    file = write_study({**quick, "trials": 2, "modules": ["deadly.py"]})
    ir.run(ir.load_study(str(file)), tmp_path / "run", device="cpu", workers=2)
    table = ir.trials(tmp_path / "run").query("state != 'duplicate'").set_index("state")
    assert sorted(table.index) == ["failed", "trained"]
    assert table.loc["failed", "outcome"].startswith(f"its worker died {ATTEMPTS} times")


DEADLY = """
import os, signal
from multiprocessing import parent_process
from ir2search.training.loop import EpochRunner

run = EpochRunner.run

def run_or_die(runner, *arguments, **options):
    if runner.candidate.width == 0.25 and parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(runner, *arguments, **options)

EpochRunner.run = run_or_die
"""


def test_workers_do_not_read_a_script_from_standard_input(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ModuleType("__main__")
    main.__file__ = "<stdin>"
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(
        RunError, match=r"^<stdin>: .*; save it as a file, or train with one worker"
    ):
        ir.run(parse_study(quick, "a.toml"), tmp_path / "run", device="cpu", workers=2)


@pytest.mark.slow
def test_a_script_without_a_main_guard_gets_an_error_and_loses_no_candidate(
    quick: dict[str, Any], write_study: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    write_study({**quick, "trials": 1})
    script = tmp_path / "script.py"
    call = 'ir.run(ir.load_study("quick.toml"), "run", workers=2, device="cpu")'
    script.write_text(f"import ir2search as ir\n{call}\n")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, "of the script, not of its workers"
    assert '`if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert ir.status(tmp_path / "run").counts["failed"] == 0


class Epochs(ir.RunObserver):
    """The jobs that have trained an epoch."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def on_epoch(self, number: int, result: EpochResult) -> None:
        self.seen.add(number)


@pytest.mark.usefixtures("forked_workers")
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
