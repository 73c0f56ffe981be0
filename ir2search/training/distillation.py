"""Learning from a teacher's logits in place of the labels, or beside them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ir2search.errors import WeightsError
from ir2search.models.teacher import StandardResNet
from ir2search.space import build
from ir2search.training.recipe import Distillation
from ir2search.training.weights import read_weights
from ir2search.zoo import preset

STANDARD = {"resnet18": 18, "resnet34": 34}


def load_teacher(
    distillation: Distillation, image: tuple[int, int, int], classes: int
) -> nn.Module:
    """The teacher, frozen, in evaluation mode, on the CPU.

    Args:
        distillation: which.
        image: (channels, height, width) of the images that it will see.
        classes: number of classes.

    Raises:
        CandidateError: there is no such preset, or it cannot take such images.
        WeightsError: the file cannot be read, or is not of that network.
    """
    teacher: nn.Module
    if distillation.teacher in STANDARD:
        teacher = StandardResNet(STANDARD[distillation.teacher], classes)
    else:
        teacher = build(preset(distillation.teacher, classes, image).twin())
    file = Path(distillation.weights)
    try:
        teacher.load_state_dict(read_weights(file))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{file}: not the weights of {distillation.teacher}: {reason}") from None
    return teacher.eval().requires_grad_(False)


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy of the student's with the teacher's softened distribution.

    L = -T^2 mean_n sum_c softmax(t / T)_c log softmax(s / T)_c. The factor keeps the gradient's
    size apart from T. Source: Hinton et al., "Distilling the Knowledge", 2015, section 2.

    Args:
        logits: s, (N, classes), of the student.
        teacher_logits: t, (N, classes).
        temperature: T, above 0.
    """
    with torch.no_grad():
        targets = functional.softmax(teacher_logits / temperature, dim=1)
    return functional.cross_entropy(logits / temperature, targets) * temperature**2
