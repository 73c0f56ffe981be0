from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ir2search.information.bits import NOISE, channel_entropy, scaled_error, sign_bits
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, sign
from ir2search.space import Candidate

Make = Callable[[Candidate], TappedNetwork]
Batch = tuple[Tensor, Tensor]
Small = Callable[..., Candidate]


def test_entropy_by_hand() -> None:
    found = channel_entropy(torch.tensor([0.0, 0.5, 0.25, 1.0]))
    quarter = 2 - 0.75 * math.log2(3)
    torch.testing.assert_close(found, torch.tensor([0, 1, quarter, 0], dtype=torch.float64))


def test_the_error_of_signs_uses_the_best_scale() -> None:
    x = torch.tensor([[[[3.0, -1.0]]], [[[2.0, -2.0]]]])
    found = scaled_error(x, sign(x))
    best = 2.0  # the mean of |x|; the error of (3, -1) is then (1, 1): 2 of 10
    left = (x[0] - best * sign(x[0])).square().sum() / x[0].square().sum()
    assert found[0].item() == pytest.approx(left.item()) == pytest.approx(0.2)
    assert found[1].item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shift", [False, True])
def test_sign_measures_equal_those_of_the_inputs_seen_by_hooks(
    small: Small, untrained: Make, batch: Batch, shift: bool
) -> None:
    network, images = untrained(small(shift=shift)), batch[0]
    taken: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, BinaryConv2d):
            if shift:
                assert module.threshold is not None
                torch.nn.init.uniform_(module.threshold, -0.5, 0.5)
            module.register_forward_pre_hook(
                lambda layer, given, name=name: taken.__setitem__(name, layer.shifted(given[0]))
            )
    with torch.no_grad():
        network(images)
    clean = dict(taken)
    noise = NOISE * torch.randn(images.shape, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        network(images + noise)
    noisy = dict(taken)
    found = sign_bits(network, images.split(4), seed=4)
    assert [layer.layer for layer in found] == list(clean)
    for layer in found:
        x, y = clean[layer.layer], noisy[layer.layer]
        positive = (x >= 0).double().mean(dim=(2, 3))
        torch.testing.assert_close(layer.positive, positive)
        torch.testing.assert_close(layer.clipped, (x.abs() >= 1).double().mean(dim=(2, 3)))
        flipped = ((x >= 0) != (y >= 0)).double().mean(dim=(1, 2, 3))
        torch.testing.assert_close(layer.flipped, flipped, atol=0.02, rtol=0)
        convolution = network.get_submodule(layer.layer)
        assert isinstance(convolution, BinaryConv2d)
        with torch.no_grad():
            outputs = [
                functional.conv2d(v, sign(convolution.weight), None, convolution.stride, 1)
                for v in (x, sign(x))
            ]
        torch.testing.assert_close(layer.output_error, scaled_error(*outputs))


def test_a_network_without_signs_has_no_sign_measures(
    small: Small, untrained: Make, batch: Batch
) -> None:
    assert sign_bits(untrained(small().twin()), [batch[0]], seed=0) == []
