from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate, build

IMAGE = (1, 8, 8)
Make = Callable[[Candidate], TappedNetwork]


@pytest.fixture(scope="session")
def small() -> Callable[..., Candidate]:
    """A candidate of four channels on images of 8 x 8."""

    def make(**fields: object) -> Candidate:
        return Candidate(depth=8, width=0.25, image=IMAGE, **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def untrained() -> Make:
    """Build an untrained network whose BatchNorm layers have seen a few batches."""

    def make(candidate: Candidate) -> TappedNetwork:
        torch.manual_seed(3)
        result = build(candidate)
        with torch.no_grad():
            for _ in range(3):
                result(torch.randn(64, *candidate.image))
        return result.eval()

    return make


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Six images and their labels."""
    torch.manual_seed(5)
    return torch.randn(6, *IMAGE), torch.arange(6)
