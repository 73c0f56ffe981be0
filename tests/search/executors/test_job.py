from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from replay import replay

import ir2search as ir
from ir2search.errors import CheckpointError, DataError, StudyError, TrainingDiverged
from ir2search.search.executors import JobResult, TrainingContext, TrainingJob, run_job
from ir2search.training import Interrupted


def outcome_of(train: Any, folder: Path) -> JobResult:
    context = TrainingContext(ir.Recipe(epochs=2), None, None)  # type: ignore[arg-type]
    job = TrainingJob(3, ir.Candidate(depth=8, width=0.125), folder, seed=0)
    return run_job(job, context, torch.device("cpu"), ir.RunObserver(), lambda: False, train)


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
