from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import ir2search as ir
from ir2search.errors import CandidateError, StudyError, WeightsError
from ir2search.models.teacher import StandardResNet
from ir2search.training import Distillation, Recipe
from ir2search.zoo import load_teacher


def test_the_teacher_is_the_presets_full_precision_twin(tmp_path: Path) -> None:
    twin = ir.build(ir.preset("cifar-resnet20", 7, (1, 8, 8)).twin())
    save_file(twin.state_dict(), tmp_path / "twin.safetensors")
    distillation = Distillation(
        teacher="cifar-resnet20", weights=str(tmp_path / "twin.safetensors")
    )
    teacher = load_teacher(Recipe(distillation=distillation), (1, 8, 8), 7)
    assert teacher is not None
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(teacher(x), twin.eval()(x))


def test_a_network_that_was_trained_here_is_a_teacher(tmp_path: Path) -> None:
    candidate = ir.Candidate(depth=8, width=0.5, image=(1, 8, 8), classes=7)
    file = tmp_path / "candidate.json"
    file.write_text(json.dumps(candidate.as_dict()))
    network = ir.build(candidate)
    save_file(network.state_dict(), tmp_path / "best.safetensors")
    distillation = Distillation(teacher=str(file), weights=str(tmp_path / "best.safetensors"))
    teacher = load_teacher(Recipe(distillation=distillation), (1, 8, 8), 7)
    assert teacher is not None
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(teacher(x), network.eval()(x))
    with pytest.raises(CandidateError, match=r"candidate\.json: the teacher takes .* 7 classes"):
        load_teacher(Recipe(distillation=distillation), (3, 32, 32), 10)


def test_standard_resnets_load_by_their_name(tmp_path: Path) -> None:
    network = StandardResNet(18, 5).eval()
    torch.save(network.state_dict(), tmp_path / "teacher.pth")
    distillation = Distillation(teacher="resnet18", weights=str(tmp_path / "teacher.pth"))
    teacher = load_teacher(Recipe(distillation=distillation), (3, 64, 64), 5)
    assert teacher is not None
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(teacher(x), network(x))


def test_all_stages_of_a_recipe_have_one_teacher(tmp_path: Path) -> None:
    assert load_teacher(Recipe(pretraining=Recipe()), (3, 32, 32), 10) is None
    twin = ir.build(ir.preset("cifar-resnet20").twin())
    save_file(twin.state_dict(), tmp_path / "twin.safetensors")
    first = Distillation(teacher="cifar-resnet20", weights=str(tmp_path / "twin.safetensors"))
    assert load_teacher(Recipe(pretraining=Recipe(distillation=first)), (3, 32, 32), 10) is not None
    second = Distillation(teacher="resnet18", weights="none.pth")
    recipe = Recipe(distillation=second, pretraining=Recipe(distillation=first))
    message = (
        r"must have one teacher, but have 'cifar-.*\.safetensors\) and 'resnet18' \(none\.pth\)"
    )
    with pytest.raises(StudyError, match=message):
        load_teacher(recipe, (3, 32, 32), 10)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"teacher": "resnet34", "weights": "none.pth"}, WeightsError, r"none\.pth: no such file"),
        ({"teacher": "resnet99", "weights": "none.pth"}, CandidateError, "no preset 'resnet99'"),
    ],
)
def test_a_missing_teacher_is_named(
    values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_teacher(Recipe(distillation=Distillation(**values)), (3, 32, 32), 10)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    torch.save(StandardResNet(18, 10).state_dict(), tmp_path / "a.pth")
    distillation = Distillation(teacher="resnet34", weights=str(tmp_path / "a.pth"))
    with pytest.raises(WeightsError, match=r"a\.pth: not the weights of resnet34"):
        load_teacher(Recipe(distillation=distillation), (3, 32, 32), 10)
