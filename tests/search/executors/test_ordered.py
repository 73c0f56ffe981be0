from __future__ import annotations

import os
import random
import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from replay import ReplayExecutor

import ir2search as ir
from ir2search.search.executors import (
    Executor,
    ExecutorSettings,
    JobResult,
    OrderedExecutor,
    TrainingJob,
)
from ir2search.study.loading import parse_study


class Unordered(ReplayExecutor):
    """Several workers of which a random one ends first."""

    def __init__(self, settings: ExecutorSettings, workers: int, seed: int) -> None:
        super().__init__(settings)
        self._workers, self._random = workers, random.Random(seed)

    def wait(self) -> list[JobResult]:
        self._random.shuffle(self._jobs)
        return super().wait()


def ordered(workers: int, seed: int = 0, parallel: int = 4) -> Any:
    def make(settings: ExecutorSettings) -> Executor:
        return OrderedExecutor(Unordered(settings, workers, seed), parallel)

    return make


def start(values: dict[str, Any], folder: Path, executor: Any, observer: Any = None) -> None:
    study = parse_study(values, "a.toml")
    ir.run(study, folder, device="cpu", executor=executor, observer=observer)


def found(folder: Path) -> pd.DataFrame:
    return ir.trials(folder).drop(columns="seconds")


STUDIES: dict[str, dict[str, Any]] = {  # the sampler chooses by results after a few trials
    "to the end": {"sampler": "ehvi", "trials": 8},
    "with rungs": {"sampler": "ehvi", "trials": 7, "rungs": {"minimum": 1, "factor": 2}},
}


@pytest.fixture
def values(quick: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    quick["recipe"] |= {"epochs": 4}
    quick["space"] |= {"width": [0.125, 0.25, 0.375], "threshold": 0.0}
    return quick | STUDIES[request.param]


every_study = pytest.mark.parametrize("values", STUDIES, indirect=True)


@every_study
def test_the_number_of_workers_and_their_speed_change_no_candidate(
    values: dict[str, Any], tmp_path: Path
) -> None:
    start(values, tmp_path / "one", ordered(workers=1))
    for number, workers in enumerate((2, 4)):
        start(values, tmp_path / str(number), ordered(workers, seed=number))
        pd.testing.assert_frame_equal(found(tmp_path / "one"), found(tmp_path / str(number)))


@every_study
def test_without_an_order_the_speed_of_workers_changes_candidates(
    values: dict[str, Any], tmp_path: Path
) -> None:
    """The test above can fail."""
    for seed in range(2):
        start(values, tmp_path / str(seed), lambda s, seed=seed: Unordered(s, 4, seed))
    assert not found(tmp_path / "0").equals(found(tmp_path / "1"))


class Interrupt(ir.RunObserver):
    """Asks to stop at the n-th event."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_epoch(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)

    on_trial = on_epoch


@every_study
def test_an_interrupted_run_finds_the_same(values: dict[str, Any], tmp_path: Path) -> None:
    start(values, tmp_path / "whole", ordered(workers=3))
    for seed, after in enumerate((4, 9)):
        with pytest.raises(KeyboardInterrupt):
            start(values, tmp_path / "cut", ordered(3, seed), Interrupt(after))
    start(values, tmp_path / "cut", ordered(2, seed=9))
    pd.testing.assert_frame_equal(found(tmp_path / "whole"), found(tmp_path / "cut"))


class Hand:
    """Two workers; the test says which job ends."""

    def __init__(self) -> None:
        self.jobs: list[TrainingJob] = []
        self.ended: list[TrainingJob] = []

    def capacity(self) -> int:
        return 2

    def submit(self, job: TrainingJob) -> None:
        self.jobs.append(job)

    def wait(self) -> list[JobResult]:
        ended, self.ended = self.ended, []
        self.jobs = [job for job in self.jobs if job not in ended]
        return [JobResult(job, failure="it failed") for job in ended]

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def interrupt(self) -> None:
        self.ended = list(self.jobs)

    def close(self) -> None:
        pass


def test_a_free_worker_takes_the_next_job_while_an_earlier_result_is_awaited() -> None:
    hand = Hand()
    executor = OrderedExecutor(hand, 4)
    jobs = [TrainingJob(n, ir.Candidate(), Path(str(n)), seed=0) for n in range(4)]
    for job in jobs:
        executor.submit(job)
    assert hand.jobs == jobs[:2]
    hand.ended = [jobs[1]]
    assert executor.wait() == []
    assert hand.jobs == [jobs[0], jobs[2]]
    hand.ended = [jobs[0]]
    assert [result.job for result in executor.wait()] == [jobs[0]], "one result at a time"
    assert [result.job for result in executor.wait()] == [jobs[1]]
    executor.interrupt()
    stopped = executor.wait()
    assert [(each.job, each.failure) for each in stopped] == [(jobs[2], None), (jobs[3], None)]
