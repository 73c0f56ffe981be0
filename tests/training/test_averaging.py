from __future__ import annotations

import torch
from torch import nn

import ir2search as ir
from ir2search.training.averaging import Averaged

SMALL = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))


def batches(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [2 + torch.randn(64, 1, 8, 8, generator=generator) for _ in range(count)]


def test_weights_are_an_exponential_average_over_the_steps() -> None:
    network = ir.build(SMALL)
    averaged = Averaged(network, 0.75)
    name, expected = "stage1.0.conv.weight", None
    for value in (1.0, 2.0, 4.0):
        network.get_parameter(name).data.fill_(value)
        averaged.update(network)
        expected = value if expected is None else 0.75 * expected + 0.25 * value
    assert expected is not None
    found = averaged.network.get_parameter(name)
    torch.testing.assert_close(found.data, torch.full_like(found, expected))


def test_statistics_are_those_of_the_averaged_weights() -> None:
    """The first BatchNorm sees the stem's outputs, whose moments can be computed directly."""
    network = ir.build(SMALL).train()
    averaged = Averaged(network, 0.5)
    averaged.update(network)
    network.get_parameter("stem.0.weight").data.mul_(-3)
    averaged.update(network)
    network(torch.zeros(4, 1, 8, 8))
    averaged.set_statistics(iter(batches(5)), 64)
    stem, norm = averaged.network.get_submodule("stem.0"), averaged.network.get_submodule("stem.1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    with torch.no_grad():
        expected = torch.stack([stem(each).mean(dim=(0, 2, 3)) for each in batches(5)]).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, expected)
    assert norm.momentum == 0.1, "as before"
