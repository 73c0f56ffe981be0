from __future__ import annotations

from pathlib import Path

import pytest

import ir2search as ir
from ir2search.errors import RunError
from ir2search.runs import plan_longer, train_longer
from ir2search.seeds import training_seed
from ir2search.training import Interrupted


def files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def constant_run(tmp_path_factory: pytest.TempPathFactory, finished_run: Path) -> Path:
    """A run of one trial whose learning rate is constant."""
    study = ir.load_study(finished_run / "study.toml")
    values = {"epochs": 1, "batch_size": 256, "optimizer": "adamw", "lr": 0.02, "flip": False}
    recipe = ir.Recipe(**values, schedule="constant")  # type: ignore[arg-type]
    folder = tmp_path_factory.mktemp("constant") / "constant"
    study = study.model_copy(update={"name": "constant", "trials": 1, "recipe": recipe})
    ir.run(study, folder, device="cpu")
    return folder


def test_with_a_constant_rate_the_result_is_that_of_one_training(
    constant_run: Path, tmp_path: Path
) -> None:
    run, before = ir.Run.open(constant_run), files(constant_run)
    calls: list[None] = []

    def stop_in_the_second_step() -> bool:
        calls.append(None)
        return len(calls) == 2

    target = tmp_path / "longer"
    with pytest.raises(Interrupted):
        train_longer(run, "best", 3, target, device="cpu", should_stop=stop_in_the_second_step)
    trained = train_longer(run, "best", 3, target, device="cpu")
    plan = plan_longer(run, "best", 3)
    assert (plan.done, plan.is_exact) == (1, True)
    once = ir.train(
        plan.candidate, plan.recipe, run.data(), tmp_path / "once",
        seed=training_seed(run.study.seed, plan.candidate.id),
    )  # fmt: skip
    assert trained.best.epoch == once.best.epoch
    assert trained.best.validation_accuracy == once.best.validation_accuracy
    assert files(constant_run) == before, "the run is not changed"
    assert ir.evaluate(target).top1 == trained.test_accuracy


def test_with_a_schedule_the_sentence_says_that_the_rate_jumps(finished_run: Path) -> None:
    plan = plan_longer(ir.Run.open(finished_run), "best", 8)
    assert (plan.done, plan.is_exact) == (2, False)
    assert "continues after epoch 2 of 8; its schedules are now those of 8 epochs" in plan.sentence
    assert "(the learning rate is 0.017 again)" in plan.sentence


def test_what_cannot_be_trained_longer_is_refused(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    with pytest.raises(RunError, match="is trained for 2 epochs already; give more epochs"):
        plan_longer(run, "best", 2)
    with pytest.raises(RunError, match="is in the folder of the run"):
        train_longer(run, "best", 3, finished_run / "trials" / "longer", device="cpu")
