from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import ir2search as ir
from ir2search.models.network import TappedNetwork

Trained = Callable[[ir.Candidate], TappedNetwork]


@pytest.fixture
def trained() -> Trained:
    """A network like a trained one: no statistic and no parameter has its initial value."""

    def make(candidate: ir.Candidate) -> TappedNetwork:
        torch.manual_seed(0)
        network = ir.build(candidate)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim in (1, 3):
                    parameter.add_(torch.randn_like(parameter) * 0.2)
            for _ in range(3):
                network.train()(torch.randn(8, *candidate.image))
        return network.eval()

    return make
