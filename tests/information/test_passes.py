from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from ir2search.information.passes import frozen, images_at_once, joined, layer_maps
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.zoo import build_preset

IMAGE = (1, 8, 8)
Make = Callable[[Candidate], TappedNetwork]
Small = Callable[..., Candidate]


def test_less_memory_takes_fewer_images_at_once(small: Small, untrained: Make) -> None:
    network = untrained(small())
    assert images_at_once(network, IMAGE, 64) == pytest.approx(
        2 * images_at_once(network, IMAGE, 32), abs=1
    )
    assert images_at_once(build_preset("cifar-resnet18").eval(), (3, 32, 32), 1) == 1


def test_maps_do_not_depend_on_the_batches(small: Small, untrained: Make) -> None:
    network, images = untrained(small()), torch.randn(5, *IMAGE)
    whole = layer_maps(network, [images], ["stem"])
    parts = layer_maps(network, images.split(2), ["stem"])
    torch.testing.assert_close(parts, whole)
    means = layer_maps(network, images.split(2), ["stem"], lambda maps: maps.mean(dim=(1, 2, 3)))
    torch.testing.assert_close(means["stem"], whole["stem"].mean(dim=(1, 2, 3)))


def test_a_frozen_network_is_restored_after_an_error() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).train()
    network[1].weight.requires_grad_(False)
    before = [parameter.requires_grad for parameter in network.parameters()]

    @frozen(network)
    def fail() -> None:
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert network.training
    assert [parameter.requires_grad for parameter in network.parameters()] == before


@dataclass(frozen=True)
class Found:
    name: str
    values: Tensor


def test_the_tensors_of_batches_are_joined_in_order() -> None:
    found = joined([Found("a", torch.tensor([1, 2])), Found("a", torch.tensor([3]))])
    assert found.name == "a"
    assert found.values.tolist() == [1, 2, 3]
