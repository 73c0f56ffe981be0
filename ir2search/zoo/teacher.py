"""The teachers of recipes with a distillation."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ir2search.errors import CandidateError, StudyError
from ir2search.models.teacher import StandardResNet
from ir2search.space import build
from ir2search.training.recipe import Distillation, Recipe
from ir2search.training.weights import put_weights, read_weights
from ir2search.zoo.networks import named_candidate, preset

STANDARD = {"resnet18": 18, "resnet34": 34}


def load_teacher(recipe: Recipe, image: tuple[int, int, int], classes: int) -> nn.Module | None:
    """Load the teacher of a recipe, for the argument ``teacher`` of `ir2search.train`.

    Args:
        recipe: the recipe; its pretraining stages may have the same teacher.
        image: (channels, height, width) of an image.
        classes: number of classes.

    Returns:
        The teacher on the CPU, frozen, in evaluation mode; None if no stage distils.

    Raises:
        CandidateError: the preset or the file is unknown, or its network cannot take such images.
        StudyError: two stages of the recipe name different teachers.
        WeightsError: the file cannot be read, or holds another network's weights.
    """
    wanted = {(stage.teacher, stage.weights): stage for stage in _distillations(recipe)}
    if len(wanted) > 1:
        names = " and ".join(f"{teacher!r} ({weights})" for teacher, weights in wanted)
        raise StudyError(f"distillation: all stages must have one teacher, but have {names}")
    if not wanted:
        return None
    (distillation,) = wanted.values()
    return _load(distillation, image, classes)


def _distillations(recipe: Recipe) -> list[Distillation]:
    earlier = [] if recipe.pretraining is None else _distillations(recipe.pretraining)
    return earlier if recipe.distillation is None else [*earlier, recipe.distillation]


def _load(distillation: Distillation, image: tuple[int, int, int], classes: int) -> nn.Module:
    teacher: nn.Module
    name = distillation.teacher
    if name in STANDARD:
        teacher = StandardResNet(STANDARD[name], classes)
    elif name.endswith(".json"):
        candidate = named_candidate(name)
        if (candidate.image, candidate.classes) != (image, classes):
            raise CandidateError(
                f"{name}: the teacher takes images {candidate.image} in {candidate.classes} "
                f"classes, but the data has {image} in {classes}; name another teacher"
            )
        teacher = build(candidate)
    else:
        teacher = build(preset(name, classes, image).twin())
    file = Path(distillation.weights)
    put_weights(teacher, read_weights(file), str(file), name)
    return teacher.eval().requires_grad_(False)
