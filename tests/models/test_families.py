from __future__ import annotations

import pytest
import torch

from ir2search.models.families import FAMILIES
from ir2search.nn import BinaryConv2d
from ir2search.space import Candidate, build


@pytest.mark.parametrize(
    ("backbone", "width", "stem", "last"),
    [("cifar-resnet", 1.0, 16, 64), ("cifar-resnet", 0.01, 1, 4), ("cifar-vgg", 0.5, 64, 256)],
)
def test_channels_are_rounded_and_at_least_one(
    backbone: str, width: float, stem: int, last: int
) -> None:
    channels = FAMILIES[backbone].channels(width)
    assert (channels[0], channels[-1]) == (stem, last)


def test_the_default_depth_of_a_family_is_allowed() -> None:
    for family in FAMILIES.values():
        assert family.has_depth(family.depth)
        assert not family.has_depth(family.depth + 1)
        assert len(family.channel_factors) == len(family.taps) + 1


@pytest.mark.parametrize("backbone", ["cifar-resnet", "cifar-basic-resnet", "cifar-vgg"])
def test_the_layers_of_a_family_are_the_inner_convolutions_of_its_networks(backbone: str) -> None:
    family = FAMILIES[backbone]
    depth = 34 if family.has_depth(34) else family.depth
    _check_layers(backbone, depth)
    if family.has_depth(34):
        _check_layers("imagenet-resnet", depth)


def _check_layers(backbone: str, depth: int) -> None:
    with torch.device("meta"):
        network = build(Candidate(backbone=backbone, depth=depth, taps=(), image=(3, 32, 32)))
    found = [name for name, each in network.named_modules() if isinstance(each, BinaryConv2d)]
    layers = FAMILIES[backbone].layers(depth)
    assert [name.removesuffix(".conv") for name in found] == list(layers)
