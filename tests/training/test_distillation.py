from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ir2search.data import DataConfig, ImageData, Split, load_data
from ir2search.errors import InputError
from ir2search.nn import restrict
from ir2search.space import Candidate, build
from ir2search.training import Distillation, Interrupted, Recipe, train
from ir2search.training.distillation import distillation_loss

CPU = torch.device("cpu")
SMALL = Candidate(depth=8, width=0.125, threshold=0.9, image=(1, 8, 8))
ONE_STEP = Recipe(
    epochs=1, batch_size=64, lr=0.1, momentum=0.0, weight_decay=0.0, crop_padding=0, flip=False,
    schedule="constant",
)  # fmt: skip


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    data = load_data(DataConfig(size=8), None, tmp_path_factory.mktemp("cache"), 0)
    return replace(data, train=Split(data.train.images[:64], data.train.labels[:64]))


def test_the_loss_is_that_of_hinton_et_al() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 4, dtype=torch.float64).requires_grad_()
    for t in (0.5, 1.0, 4.0):
        found = distillation_loss(student, teacher, t)
        p = (teacher / t).exp() / (teacher / t).exp().sum(dim=1, keepdim=True)
        q = (student / t).exp() / (student / t).exp().sum(dim=1, keepdim=True)
        torch.testing.assert_close(found, -(p * q.log()).sum(dim=1).mean() * t * t)


def test_a_certain_teacher_gives_the_loss_of_a_label() -> None:
    student = torch.randn(6, 3)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    certain = functional.one_hot(labels, 3).float() * 1e3
    expected = functional.cross_entropy(student, labels)
    torch.testing.assert_close(distillation_loss(student, certain), expected)


def test_any_module_can_be_the_teacher(digits: ImageData, tmp_path: Path) -> None:
    class Teacher(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, 20:30] * 2

    distillation = Distillation(teacher="any", weights="none", temperature=3.0, share=0.7)
    recipe = replace(ONE_STEP, distillation=distillation, label_smoothing=0.1)
    result = train(SMALL, recipe, digits, tmp_path, seed=0, device=CPU, teacher=Teacher())
    torch.manual_seed(0)
    network = build(SMALL)
    generator = torch.Generator().manual_seed(0)
    images, labels = next(digits.train.batches(64, recipe.augmentation, generator))
    x = digits.normalise(images)
    logits, features = network.logits_and_features(x)
    losses = []
    for scores in (logits, network(restrict(x, features, 0.9))):
        soft = distillation_loss(scores, Teacher()(x), 3.0)
        hard = functional.cross_entropy(scores, labels, label_smoothing=0.1)
        losses.append(0.7 * soft + 0.3 * hard)
    expected = float(((losses[0] + losses[1]) / 2).detach())
    assert result.curve[0].loss == pytest.approx(expected, rel=1e-6)


def test_a_recipe_with_distillation_needs_a_teacher(digits: ImageData, tmp_path: Path) -> None:
    distillation = Distillation(teacher="resnet18", weights="none")
    recipe = replace(ONE_STEP, distillation=distillation)
    with pytest.raises(InputError, match="distils from 'resnet18', but no teacher is given"):
        train(SMALL, recipe, digits, tmp_path / "own", seed=0, device=CPU)
    assert not (tmp_path / "own").exists()


def test_pretraining_uses_real_weights_and_its_result_starts_the_training(
    digits: ImageData, tmp_path: Path
) -> None:
    recipe = replace(ONE_STEP, lr=1e-9, pretraining=replace(ONE_STEP, epochs=2, lr=0.2))
    epochs: list[int] = []
    train(
        SMALL, recipe, digits, tmp_path / "two", seed=3, device=CPU,
        on_epoch=lambda row: epochs.append(row.epoch),
    )  # fmt: skip
    assert epochs == [1, 2, 3]
    first = tmp_path / "first"
    train(
        replace(SMALL, weights="real"), replace(ONE_STEP, epochs=2, lr=0.2), digits, first,
        seed=3, device=CPU,
    )  # fmt: skip
    start = load_file(first / "best.safetensors")
    end = load_file(tmp_path / "two" / "last.safetensors")
    for name in start:
        if name.endswith(("weight", "bias")):
            torch.testing.assert_close(end[f"network.{name}"], start[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_two_stages_that_are_interrupted_give_the_uninterrupted_result(
    digits: ImageData, tmp_path: Path, call: int
) -> None:
    recipe = replace(ONE_STEP, epochs=2, pretraining=replace(ONE_STEP, epochs=2))

    calls = iter([*[False] * call, True])
    whole = train(SMALL, recipe, digits, tmp_path / "whole", seed=0, device=CPU)
    with pytest.raises(Interrupted):
        train(
            SMALL,
            recipe,
            digits,
            tmp_path / "parts",
            seed=0,
            device=CPU,
            should_stop=lambda: next(calls),
        )
    parts = train(SMALL, recipe, digits, tmp_path / "parts", seed=0, device=CPU)
    assert [replace(row, seconds=0) for row in parts.curve] == [
        replace(row, seconds=0) for row in whole.curve
    ]
    one, other = (load_file(tmp_path / n / "last.safetensors") for n in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)
