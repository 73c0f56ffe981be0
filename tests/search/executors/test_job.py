from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from replay import replay

import ir2search as ir
from ir2search.errors import (
    CheckpointError,
    DataError,
    RunError,
    StudyError,
    TrainingDiverged,
    WeightsError,
)
from ir2search.search.executors import JobResult, TrainingContext, TrainingJob, run_job
from ir2search.search.executors.job import ATTEMPTS
from ir2search.training import Interrupted


def outcome_of(
    train: Any, folder: Path, should_stop: Callable[[], bool] = lambda: False
) -> JobResult:
    context = TrainingContext(ir.Recipe(epochs=2), None, None)  # type: ignore[arg-type]
    job = TrainingJob(3, ir.Candidate(depth=8, width=0.125), folder, seed=0)
    return run_job(job, context, torch.device("cpu"), ir.RunObserver(), should_stop, train)


class Failing:
    """A training that fails the first times it is called."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.calls = error, times, 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return replay(*arguments, **named)


def raising(error: Exception) -> Any:
    def train(*_: Any, **__: Any) -> Any:
        raise error

    return train


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingDiverged("the loss is not finite"), "diverged: the loss is not finite"),
        (RuntimeError("can't allocate memory"), "out of memory: can't allocate memory"),
        (RuntimeError("shapes differ"), "RuntimeError: shapes differ"),
        (StudyError("backbone 'mine' fails"), "backbone 'mine' fails"),
        (WeightsError("the network gives NaN"), "the network gives NaN"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_in_one_training_is_a_failed_job(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    outcome = outcome_of(raising(error), tmp_path)
    assert outcome.failure == reason
    assert outcome.result is None
    if isinstance(error, TrainingDiverged):
        assert outcome.traceback is None
    else:
        assert outcome.traceback is not None
        assert "in train\n" in outcome.traceback


@pytest.mark.parametrize("error", [OSError("no space left"), DataError("images: missing")])
def test_an_error_that_every_job_would_meet_ends_the_run(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)):
        outcome_of(raising(error), tmp_path)


FAULTS = (
    "DataLoader worker (pid(s) 7) exited unexpectedly",
    "unable to write to file </torch_1_2>: No space left on device (28)",
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
    "workers are out of shared memory.",
    "CUDA error: uncorrectable ECC error encountered",
)


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_of_the_machine_that_stays_ends_the_run(tmp_path: Path, message: str) -> None:
    train = Failing(RuntimeError(message), times=100)
    with pytest.raises(RunError) as caught:
        outcome_of(train, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: RuntimeError: {message}")
    assert str(caught.value).endswith("; solve that and run the same command again to continue")
    assert train.calls == ATTEMPTS


@pytest.mark.parametrize("message", [*FAULTS, "something unexpected"])
def test_an_error_that_passes_is_no_failure(tmp_path: Path, message: str) -> None:
    outcome = outcome_of(Failing(RuntimeError(message), times=ATTEMPTS - 1), tmp_path)
    assert outcome.result is not None
    assert outcome.failure is None
    assert outcome.remark == f"trained further after RuntimeError: {message}"


def test_a_network_that_needs_too_much_memory_is_not_tried_again(tmp_path: Path) -> None:
    train = Failing(RuntimeError("can't allocate memory"), times=100)
    assert outcome_of(train, tmp_path).failure is not None
    assert train.calls == 1


def test_an_error_after_the_user_asked_to_stop_is_no_failure(tmp_path: Path) -> None:
    """The same signal may have ended processes that the training needs."""
    train = Failing(RuntimeError(FAULTS[0]), times=100)
    outcome = outcome_of(train, tmp_path, should_stop=lambda: train.calls > 0)
    assert (outcome.result, outcome.failure) == (None, None)


def test_an_interrupted_job_has_neither_result_nor_failure(tmp_path: Path) -> None:
    outcome = outcome_of(raising(Interrupted()), tmp_path)
    assert (outcome.result, outcome.failure) == (None, None)


def test_a_training_with_a_damaged_checkpoint_starts_again_with_a_remark(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"damaged")

    def train(*arguments: Any, **named: Any) -> Any:
        if (tmp_path / "last.safetensors").exists():
            raise CheckpointError("last.safetensors: cannot be read")
        return replay(*arguments, **named)

    outcome = outcome_of(train, tmp_path)
    assert outcome.result is not None
    assert outcome.remark == "trained again from the start: last.safetensors: cannot be read"
