from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from torch.optim import lr_scheduler

from ir2search.errors import StudyError
from ir2search.training import Recipe


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10)),
        ("linear", lambda o: lr_scheduler.LinearLR(o, 1.0, 1e-12, total_iters=10)),
        ("constant", lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
def test_schedules_equal_torchs(schedule: Any, make: Any) -> None:
    recipe = Recipe(epochs=10, lr=0.4, schedule=schedule)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = make(optimizer)
    for epoch in range(10):
        assert recipe.rate(epoch) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        scheduler.step()


@given(
    st.sampled_from(["cosine", "linear", "constant"]),
    st.integers(1, 50),
    st.floats(0, 60),
    st.floats(0, 1),
)
def test_the_rate_increases_to_lr_and_never_exceeds_it(
    schedule: Any, epochs: int, warmup: float, share: float
) -> None:
    recipe = Recipe(epochs=epochs, lr=0.3, schedule=schedule, warmup_epochs=warmup)
    progress = share * epochs
    assert 0 <= recipe.rate(progress) <= 0.3 * (1 + 1e-12)
    if warmup > 0:
        assert recipe.rate(0) == 0
        assert recipe.rate(min(warmup, epochs) / 2) == pytest.approx(
            0.3 * min(warmup, epochs) / 2 / warmup
        )
    if warmup < epochs:
        assert recipe.rate(warmup) == pytest.approx(0.3)


def test_a_fine_tuning_is_short_and_slow() -> None:
    recipe = Recipe(epochs=20, lr=0.2, warmup_epochs=2.0, first_side=0.5)
    short = recipe.for_finetuning(5)
    assert short.rate(0.25) == pytest.approx(0.1 * recipe.rate(1.0))
    assert max(short.rate(step / 100) for step in range(500)) == pytest.approx(0.02)
    assert short.side(0) == 1.0


def test_the_default_recipe_is_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (500, 128, 0.11)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0}, {"epochs": 2.5}, {"epochs": True}, {"batch_size": 1}, {"lr": 0},
        {"lr": float("inf")}, {"lr": "0.1"}, {"momentum": 1.0}, {"weight_decay": -1e-4},
        {"schedule": "step"}, {"warmup_epochs": -1}, {"label_smoothing": 1.0},
        {"crop_padding": -1}, {"flip": "no"},
        {"nesterov": 1}, {"alternating_flip": "yes"}, {"ema": 1.0}, {"cutout": -1},
        {"padding": "edge"}, {"stem_start": "zeros"}, {"norm_bias_factor": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_value_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Recipe(**values)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ("constant", [0.8, 0.8, 0.8, 0.8, 0.8]),
        ("warmup", [0.0, 0.4, 0.8, 0.8, 0.8]),
        ("annealed", [0.8, 0.8 * (2 + 2**0.5) / 4, 0.4, 0.8 * (2 - 2**0.5) / 4, 0.0]),
    ],
)
def test_the_threshold_follows_its_schedule(schedule: Any, values: list[float]) -> None:
    recipe = Recipe(epochs=8, threshold_schedule=schedule)
    found = [recipe.threshold(0.8, epoch) for epoch in (0, 2, 4, 6, 8)]
    assert found == pytest.approx(values)


def test_other_values_replace_those_of_a_recipe() -> None:
    recipe = Recipe(epochs=7).with_values({"lr": 0.3, "optimizer": "muon"})
    assert recipe == Recipe(epochs=7, lr=0.3, optimizer="muon")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": -1.0}, r"\[recipe\] lr: must be above 0, but got -1.0"),
        ({"lrr": 0.1}, r"\[recipe\] lrr: there is no such key; did you mean 'lr'\?"),
        ({"optimizer": "adamq"}, r"but got 'adamq'; did you mean 'adam"),
        ({"epochs": 3}, r"\[recipe\] epochs: must be the same for all"),
    ],
)
def test_values_that_cannot_be_searched_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        Recipe().with_values(values)
