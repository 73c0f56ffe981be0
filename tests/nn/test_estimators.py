from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ir2search.nn import Binarisation, BinaryConv2d, sharpen
from ir2search.nn.estimators import eight_bits, standardised, tanh_sharpness, tanh_sign


@given(st.floats(-3, 3), st.floats(0.05, 20))
def test_the_tanh_gradient_is_that_of_ir_net(value: float, t: float) -> None:
    x = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    y = tanh_sign(x, t)
    y.backward()
    assert y.item() == (1 if value >= 0 else -1)
    k = max(1 / t, 1)
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(k * t * (1 - math.tanh(t * value) ** 2), abs=1e-12)


def test_the_sharpness_grows_exponentially_from_a_tenth_to_ten() -> None:
    assert tanh_sharpness(0) == pytest.approx(0.1)
    assert tanh_sharpness(0.5) == pytest.approx(1)
    assert tanh_sharpness(1) == pytest.approx(10)


def test_sharpen_changes_every_convolution() -> None:
    network = nn.Sequential(
        BinaryConv2d(2, 2, binarisation=Binarisation(estimator="tanh")),
        nn.ReLU(),
        BinaryConv2d(2, 2),
    )
    first = network[0]
    x = torch.full((1, 2, 3, 3), 0.8, requires_grad=True)

    def slope() -> float:
        (gradient,) = torch.autograd.grad(first(x).sum(), x)
        return float(gradient.abs().sum())

    sharpen(network, 0)
    early = slope()
    sharpen(network, 1)
    assert slope() < early / 100, "a sharp estimator has almost no gradient at 0.8"


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (2, 5)])
def test_standardised_weights_and_their_gradient_equal_the_formula(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    w = (3 + 2 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    upstream = torch.randn(shape, dtype=torch.float64)
    y = standardised(w)
    flat = y.detach().flatten(1)
    torch.testing.assert_close(flat.mean(dim=1), torch.zeros(shape[0], dtype=torch.float64))
    torch.testing.assert_close(flat.std(dim=1), torch.ones(shape[0], dtype=torch.float64))
    (found,) = torch.autograd.grad((y * upstream).sum(), w)
    axes = tuple(range(1, len(shape)))
    plain = (w - w.mean(axes, keepdim=True)) / w.std(axes, keepdim=True)
    (expected,) = torch.autograd.grad((plain * upstream).sum(), w)
    torch.testing.assert_close(found, expected)


def test_thresholds_and_standardisation_are_applied_before_the_signs() -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(3, 4, binarisation=Binarisation(shift=True, standardise=True)).double()
    assert layer.threshold is not None
    nn.init.normal_(layer.threshold)
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    w = layer.weight.detach()
    levels = torch.where(x >= layer.threshold.detach(), 1.0, -1.0).double()
    means = w.mean(dim=(1, 2, 3), keepdim=True)
    signs = torch.where(w >= means, 1.0, -1.0).double()
    torch.testing.assert_close(layer(x), functional.conv2d(levels, signs, padding=1))


def test_the_gradient_of_a_threshold_is_the_negative_gradient_of_its_input() -> None:
    layer = BinaryConv2d(1, 1, kernel_size=1, padding=0, binarisation=Binarisation(shift=True))
    nn.init.ones_(layer.weight)
    layer(torch.full((1, 1, 1, 1), 0.25)).sum().backward()
    assert layer.threshold is not None
    assert layer.threshold.grad is not None
    assert layer.threshold.grad.item() == -(2 - 2 * 0.25)


def test_real_inputs_have_no_thresholds() -> None:
    layer = BinaryConv2d(2, 2, binarisation=Binarisation(shift=True, activations="real"))
    assert layer.threshold is None


@given(st.floats(-8, 8, width=32))
def test_numbers_of_8_bits_are_the_nearest_in_their_range(value: float) -> None:
    x = torch.tensor(value, requires_grad=True)
    y = eight_bits(x)
    y.backward()
    levels = [level / 32 for level in range(-128, 128)]
    assert y.item() in levels
    assert abs(y.item() - value) == min(abs(level - value) for level in levels)
    assert x.grad is not None
    assert x.grad.item() == (-4 <= value <= 127 / 32)


def test_a_convolution_of_8_bits_is_the_sum_of_8_binary_ones() -> None:
    """Its cost counts these: each is of one bit plane, 0 or 1, with weights of -1 and +1."""
    conv = BinaryConv2d(3, 5, binarisation=Binarisation(activations="int8"))
    images = 2 * torch.randn(2, 3, 6, 7)
    whole = (images * 32).round().clamp(-128, 127).to(torch.int8).numpy()
    planes = torch.from_numpy(np.unpackbits(whole.view(np.uint8)[..., None], axis=-1))
    factors = [-128, 64, 32, 16, 8, 4, 2, 1]
    with torch.no_grad():
        parts = [
            factor * functional.conv2d(planes[..., bit].float(), conv.signs(), padding=1)
            for bit, factor in enumerate(factors)
        ]
        torch.testing.assert_close(conv(images), sum(parts) / 32, rtol=0, atol=0)
    assert conv.bit_planes == len(factors)
