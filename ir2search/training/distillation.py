"""The loss of a student network against its teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy between the softened distributions of the student and the teacher.

    L = -T^2 mean_n sum_c softmax(t / T)_c log softmax(s / T)_c. The factor T^2 makes the size of
    the gradient independent of T. Source: Hinton et al., "Distilling the Knowledge in a Neural
    Network", 2015, section 2.

    Args:
        logits: s, (N, classes), of the student.
        teacher_logits: t, (N, classes).
        temperature: T, above 0.
    """
    with torch.no_grad():
        targets = functional.softmax(teacher_logits / temperature, dim=1)
    return functional.cross_entropy(logits / temperature, targets) * temperature**2
