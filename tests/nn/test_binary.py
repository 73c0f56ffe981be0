from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ir2search.nn import Binarisation, BinaryConv2d
from ir2search.nn.estimators import polynomial_sign, sign, straight_through_sign

Sign = Callable[[Tensor], Tensor]
SIGNS: list[Sign] = [sign, polynomial_sign, straight_through_sign]
floats = st.floats(-1e6, 1e6, allow_subnormal=True)


@pytest.mark.parametrize("estimator", SIGNS)
@given(st.lists(floats, min_size=1, max_size=20))
def test_signs_have_two_values_and_zero_is_positive(estimator: Sign, values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    expected = [1.0 if value >= 0 else -1.0 for value in values]
    assert estimator(x).tolist() == expected


@pytest.mark.parametrize("estimator", SIGNS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_both_zeros_map_to_plus_one_in_the_inputs_dtype(
    estimator: Sign, dtype: torch.dtype
) -> None:
    result = estimator(torch.tensor([[0.0, -0.0]], dtype=dtype))
    assert result.tolist() == [[1.0, 1.0]]
    assert result.dtype == dtype


@pytest.mark.parametrize(
    ("estimator", "slopes"),
    [
        (
            polynomial_sign,
            {
                -1.5: 0,
                -1.0: 0,
                -0.75: 0.5,
                -0.25: 1.5,
                0.0: 2,
                0.25: 1.5,
                0.75: 0.5,
                1.0: 0,
                3.0: 0,
            },
        ),
        (straight_through_sign, {-1.01: 0, -1.0: 1, -0.5: 1, 0.0: 1, 0.5: 1, 1.0: 1, 1.01: 0}),
    ],
)
def test_surrogate_gradients_have_known_values(estimator: Sign, slopes: dict[float, float]) -> None:
    x = torch.tensor(list(slopes), dtype=torch.float64, requires_grad=True)
    upstream = torch.arange(1, len(slopes) + 1, dtype=torch.float64)
    (estimator(x) * upstream).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [s * u for s, u in zip(slopes.values(), upstream, strict=True)]


@given(st.floats(-2, 2))
def test_the_polynomial_gradient_has_the_pieces_of_the_paper(value: float) -> None:
    x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    polynomial_sign(x).backward()
    if -1 <= value < 0:
        expected = 2 + 2 * value
    elif 0 <= value < 1:
        expected = 2 - 2 * value
    else:
        expected = 0.0
    assert x.grad is not None
    assert x.grad.item() == expected


def convolution(x: np.ndarray, w: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Convolution by its definition, with zeros outside the image."""
    n, _, height, width = x.shape
    outputs, _, k, _ = w.shape
    rows, columns = ((side + 2 * padding - k) // stride + 1 for side in (height, width))
    y = np.zeros((n, outputs, rows, columns))
    for image, o, r, c, i, j in product(
        range(n), range(outputs), range(rows), range(columns), range(k), range(k)
    ):
        top, left = r * stride + i - padding, c * stride + j - padding
        if 0 <= top < height and 0 <= left < width:
            y[image, o, r, c] += (x[image, :, top, left] * w[o, :, i, j]).sum()
    return y


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("weights", ["binary", "real"])
@pytest.mark.parametrize("activations", ["binary", "real"])
def test_the_convolution_uses_the_signs(
    stride: int, padding: int, weights: Any, activations: Any
) -> None:
    torch.manual_seed(0)
    binarisation = Binarisation(weights=weights, activations=activations)
    layer = BinaryConv2d(3, 4, stride=stride, padding=padding, binarisation=binarisation).double()
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    x[0, 0, 0, 0] = 0.0
    signs = {
        "binary": lambda a: np.where(a >= 0, 1.0, -1.0),
        "real": lambda a: a,
    }
    expected = convolution(
        signs[activations](x.numpy()),
        signs[weights](layer.weight.detach().numpy()),
        stride,
        padding,
    )
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-12)
    assert layer.bias is None
    assert layer.is_binary == (weights == activations == "binary")


def test_gradients_reach_the_latent_weights_and_the_input() -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(2, 2)
    x = torch.randn(1, 2, 4, 4).requires_grad_()
    layer(x).square().sum().backward()
    assert layer.weight.grad is not None
    assert x.grad is not None
    assert (layer.weight.grad != 0).any()
    assert (x.grad[x.detach().abs() >= 1] == 0).all(), "the surrogate gradient is 0 there"
    assert (x.grad[x.detach().abs() < 1] != 0).any()


def test_groups_read_inputs_that_are_dealt_in_turn() -> None:
    """Of 6 inputs in 2 groups, the first three outputs read inputs 0, 3, 1; the others 4, 2, 5."""
    conv = BinaryConv2d(6, 6, 1, padding=0, groups=2)
    x = torch.randn(1, 6, 2, 2)
    signs, weights = sign(x), conv.signs().flatten(1)
    order = [0, 3, 1, 4, 2, 5]
    for output in range(6):
        read = order[:3] if output < 3 else order[3:]
        parts = zip(weights[output], read, strict=True)
        expected = sum(weight * signs[0, channel] for weight, channel in parts)
        assert torch.equal(conv(x)[0, output], expected)


def test_two_layers_of_groups_mix_all_channels() -> None:
    real = Binarisation(activations="real")
    layers = [BinaryConv2d(8, 8, 1, padding=0, groups=2, binarisation=real) for _ in range(2)]
    for layer in layers:
        torch.nn.init.ones_(layer.weight)  # no terms cancel
    x = torch.zeros(1, 8, 1, 1, requires_grad=True)
    layers[1](layers[0](x))[0, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all(), "the first output depends on all inputs"
