from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ir2search.nn import ShiftedPReLU, make_activation


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.01, 1), st.floats(-2, 2))
def test_shifted_prelu_has_the_formula_of_reactnet(
    x: float, gamma: float, beta: float, zeta: float
) -> None:
    module = ShiftedPReLU(1).double()
    with torch.no_grad():
        module.gamma.fill_(gamma)
        module.zeta.fill_(zeta)
        module.prelu.weight.fill_(beta)
    found = module(torch.full((1, 1, 1, 1), x, dtype=torch.float64)).item()
    expected = x - gamma + zeta if x > gamma else beta * (x - gamma) + zeta
    assert found == pytest.approx(expected, abs=1e-12)


def test_activations_are_made_by_name() -> None:
    x = torch.tensor([-2.0, 0.5, 3.0]).view(1, 3, 1, 1)
    assert make_activation("hardtanh", 3)(x).flatten().tolist() == [-1, 0.5, 1]
    assert make_activation("prelu", 3)(x).flatten().tolist() == [-0.5, 0.5, 3]
    assert make_activation("rprelu", 3)(x).flatten().tolist() == [-0.5, 0.5, 3]
