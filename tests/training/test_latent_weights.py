from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ir2search.nn.estimators import sign
from ir2search.training.latent_weights import from_4_bits, in_4_bits, with_latent_weights

NUMBERS = st.floats(width=32, min_value=-1e6, max_value=1e6)


@given(
    arrays("float32", st.tuples(st.sampled_from((2, 4, 6)), st.integers(1, 3)), elements=NUMBERS)
)
def test_4_bits_keep_the_sign_and_are_within_half_a_step(values: object) -> None:
    weights = torch.as_tensor(values)
    codes, step = in_4_bits(weights)
    found = from_4_bits(codes, step)
    assert codes.dtype == torch.uint8
    assert len(codes) == len(weights) / 2
    assert torch.equal(sign(found), sign(weights))
    inside = weights.abs() < 8 * step
    assert ((found - weights).abs() <= 0.5001 * step)[inside].all()


def test_normal_weights_have_the_error_of_the_best_16_levels() -> None:
    """The error 0.01154 of 16 equal steps is in table II of Max (1960)."""
    weights = torch.randn(64, 100_000 // 64, generator=torch.Generator().manual_seed(0)) * 0.07
    error = (from_4_bits(*in_4_bits(weights)) - weights).square().mean()
    assert abs(float(error / weights.square().mean()) - 0.01154) < 0.0005


def test_only_codes_with_a_step_are_replaced() -> None:
    codes, step = in_4_bits(torch.tensor([[-1.0], [2.0]]))
    given = {"a": codes, "a_step": step, "b": codes, "c_step": step}
    found = with_latent_weights(given)
    assert list(found) == ["a", "b", "c_step"]
    assert found["b"] is codes
    assert found["a"].flatten().sign().tolist() == [-1.0, 1.0]
    for wrong in ({"a": codes, "a_step": codes}, {"a": codes[0, 0], "a_step": step}):
        assert with_latent_weights(wrong) == wrong
