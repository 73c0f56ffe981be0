from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import ir2search as ir
from ir2search.data import DataConfig, ImageData, Split, load_data
from ir2search.errors import CandidateError, WeightsError
from ir2search.models.teacher import StandardResNet
from ir2search.nn import restrict
from ir2search.space import Candidate, build
from ir2search.training import Distillation, Interrupted, Recipe, load_teacher, train
from ir2search.training.distillation import soft_cross_entropy

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


def test_soft_cross_entropy_is_hintons() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 4, dtype=torch.float64).requires_grad_()
    for t in (0.5, 1.0, 4.0):
        found = soft_cross_entropy(student, teacher, t)
        p = (teacher / t).exp() / (teacher / t).exp().sum(dim=1, keepdim=True)
        q = (student / t).exp() / (student / t).exp().sum(dim=1, keepdim=True)
        torch.testing.assert_close(found, -(p * q.log()).sum(dim=1).mean() * t * t)


def test_a_sure_teacher_is_a_label() -> None:
    student = torch.randn(6, 3)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    sure = functional.one_hot(labels, 3).float() * 1e3
    expected = functional.cross_entropy(student, labels)
    torch.testing.assert_close(soft_cross_entropy(student, sure), expected)


def test_one_step_with_a_teacher_of_any_kind(digits: ImageData, tmp_path: Path) -> None:
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
        soft = soft_cross_entropy(scores, Teacher()(x), 3.0)
        hard = functional.cross_entropy(scores, labels, label_smoothing=0.1)
        losses.append(0.7 * soft + 0.3 * hard)
    expected = float(((losses[0] + losses[1]) / 2).detach())
    assert result.curve[0].loss == pytest.approx(expected, rel=1e-6)


def test_a_presets_twin_teaches(tmp_path: Path) -> None:
    twin = ir.build(ir.preset("cifar-resnet20", 7, (1, 8, 8)).twin())
    save_file(twin.state_dict(), tmp_path / "twin.safetensors")
    distillation = Distillation(
        teacher="cifar-resnet20", weights=str(tmp_path / "twin.safetensors")
    )
    teacher = load_teacher(distillation, (1, 8, 8), 7)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(teacher(x), twin.eval()(x))


@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672)])
def test_a_standard_resnet_has_the_published_number_of_parameters(
    depth: int, parameters: int, tmp_path: Path
) -> None:
    network = StandardResNet(depth, 1000)
    assert sum(p.numel() for p in network.parameters()) == parameters
    keys = set(network.state_dict())
    assert {"conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.running_var"} <= keys
    assert {"fc.weight", "fc.bias"} <= keys
    torch.save(network.state_dict(), tmp_path / "teacher.pth")
    distillation = Distillation(teacher=f"resnet{depth}", weights=str(tmp_path / "teacher.pth"))
    teacher = load_teacher(distillation, (3, 64, 64), 1000)
    assert teacher(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_a_standard_resnet18_is_he_et_als_with_plain_operations() -> None:
    torch.manual_seed(0)
    network = StandardResNet(18, 10).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            assert module.running_mean is not None
            module.running_mean.normal_()
    w = network.state_dict()

    def bn(name: str, x: Tensor) -> Tensor:
        mean, var, a, b = (
            w[f"{name}.{k}"][:, None, None]
            for k in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * a + b

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel = w[f"{name}.weight"]
        return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    x = images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    x = functional.max_pool2d(bn("bn1", conv("conv1", x, 2)).clamp_min(0), 3, 2, 1)
    for name in (f"layer{layer}.{block}" for layer in (1, 2, 3, 4) for block in (0, 1)):
        stride = 2 if name.endswith(".0") and name[5] != "1" else 1
        y = bn(f"{name}.bn1", conv(f"{name}.conv1", x, stride)).clamp_min(0)
        y = bn(f"{name}.bn2", conv(f"{name}.conv2", y))
        if stride == 2:
            x = bn(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, 2))
        x = (x + y).clamp_min(0)
    expected = x.mean(dim=(2, 3)) @ w["fc.weight"].T + w["fc.bias"]
    torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"teacher": "resnet34", "weights": "none.pth"}, WeightsError, r"none\.pth: no such file"),
        ({"teacher": "resnet99", "weights": "none.pth"}, CandidateError, "no preset 'resnet99'"),
    ],
)
def test_a_teacher_that_is_not_there_is_named(
    values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_teacher(Distillation(**values), (3, 32, 32), 10)


def test_weights_of_another_teacher_are_named(tmp_path: Path) -> None:
    torch.save(StandardResNet(18, 10).state_dict(), tmp_path / "a.pth")
    distillation = Distillation(teacher="resnet34", weights=str(tmp_path / "a.pth"))
    with pytest.raises(WeightsError, match=r"a\.pth: not the weights of resnet34"):
        load_teacher(distillation, (3, 32, 32), 10)


def test_pretraining_has_real_weights_and_starts_the_training(
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
def test_two_stages_that_were_interrupted_end_as_if_they_were_not(
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
