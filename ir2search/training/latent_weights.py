"""Latent weights in 4 bits, for small files: a forward pass of a binary network reads their signs.

For each such tensor ``NAME``, of shape (N, ...), a file has the codes of its first N / 2 rows in
the low 4 bits of uint8 numbers, those of the others in the high ones, and a number ``NAME_step``.
"""

from __future__ import annotations

import torch
from torch import Tensor

SUFFIX = "_step"  # of the name of a tensor's step
SIGN = 8  # this bit is set for negative weights; the other three are the size
# The step between 16 levels with the least squared error for a normal distribution, as a multiple
# of its deviation: Max, "Quantizing for minimum distortion", IRE Transactions 6 (1960), table II.
STEP = 0.3352


def in_4_bits(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Round weights to 8 levels of each sign: 0.5, 1.5, ... 7.5 steps.

    Args:
        weights: (N, ...) float, with even N; 0 counts as positive.

    Returns:
        Codes (N / 2, ...) uint8, and the step, a tensor of one number.
    """
    step = STEP * weights.square().mean().sqrt().clamp_min(torch.finfo(torch.float32).tiny)
    sizes = (weights.abs() / step).clamp(max=SIGN - 1).to(torch.uint8)
    low, high = torch.where(weights < 0, sizes + SIGN, sizes).chunk(2)
    return low + 16 * high, step


def from_4_bits(codes: Tensor, step: Tensor) -> Tensor:
    """Weights (N, ...) float32 from what `in_4_bits` returns."""
    numbers = torch.cat((codes % 16, codes // 16))
    sizes = (numbers % SIGN + 0.5) * step
    return torch.where(numbers < SIGN, sizes, -sizes)


def with_latent_weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file, with its codes of latent weights replaced by weights."""
    found = dict(tensors)
    for name, codes in tensors.items():
        step = tensors.get(name + SUFFIX)
        if step is None or codes.dtype != torch.uint8 or not codes.ndim:
            continue
        if step.dtype == torch.float32 and not step.ndim:
            found[name] = from_4_bits(codes, found.pop(name + SUFFIX))
    return found
