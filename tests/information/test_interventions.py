from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from ir2search.information.interventions import (
    Change,
    binarised,
    binarised_layers,
    changes,
    released,
)
from ir2search.models.network import TappedNetwork
from ir2search.nn import BinaryConv2d, sign
from ir2search.space import Candidate, build
from ir2search.zoo import build_preset

Make = Callable[[Candidate], TappedNetwork]
Small = Callable[..., Candidate]
UNITS = [f"stage{stage}.{unit}" for stage in (1, 2, 3) for unit in (0, 1)]


def conv(network: nn.Module, name: str) -> BinaryConv2d:
    module = network.get_submodule(name)
    assert isinstance(module, BinaryConv2d)
    return module


def test_every_layer_stage_and_the_network_change_by_part(small: Small, untrained: Make) -> None:
    network = untrained(small())
    found = changes(network, binarised_layers(network))
    assert [each.layer for each in found[::3]] == [
        *UNITS, "stage1", "stage2", "stage3", "network",
    ]  # fmt: skip
    assert [each.part for each in found[:3]] == ["weights", "activations", "both"]
    stage = next(each for each in found if each.layer == "stage2")
    assert stage.convolutions == ("stage2.0.conv", "stage2.1.conv")
    assert stage.first == "stage2.0"


def test_two_convolutions_of_a_block_have_their_own_names() -> None:
    network = build_preset("cifar-resnet18")
    names = {each.layer for each in changes(network, binarised_layers(network))}
    assert {"stage1.0.conv1", "stage1.0.conv2", "stage4", "network"} < names
    assert "stage1.0" not in names


def test_a_network_with_real_activations_has_changes_of_weights_only(
    small: Small, untrained: Make
) -> None:
    network = untrained(small(activations="real"))
    assert {each.part for each in changes(network, binarised_layers(network))} == {"weights"}


def test_a_binary_stem_can_be_released_but_the_twins_stem_not_binarised(small: Small) -> None:
    network, twin = build(small(stem="int8")), build(small(stem="int8").twin())
    layers = binarised_layers(network)
    assert changes(network, layers)[0].layer == "stem"
    assert changes(twin, layers)[0].layer == "stage1.0"


@pytest.mark.parametrize("standardise", [False, True])
def test_a_released_layer_has_its_latent_weights_and_its_input(
    small: Small, untrained: Make, standardise: bool
) -> None:
    network = untrained(small(standardise=standardise))
    layer, x = conv(network, "stage1.0.conv"), torch.randn(2, 4, 8, 8)
    before = layer(x)
    weight = layer.weight.detach()
    if standardise:
        weight = weight - weight.mean(dim=(1, 2, 3), keepdim=True)
        weight = weight / weight.std(dim=(1, 2, 3), keepdim=True)
    for part, expected in {
        "weights": nn.functional.conv2d(sign(x), weight, padding=1),
        "activations": nn.functional.conv2d(x, sign(weight), padding=1),
        "both": nn.functional.conv2d(x, weight, padding=1),
    }.items():
        change = Change("stage1.0", part, ("stage1.0.conv",), "stage1.0")  # type: ignore[arg-type]
        with released(network, change):
            torch.testing.assert_close(layer(x), expected)
        torch.testing.assert_close(layer(x), before)


def test_a_binarised_layer_of_the_twin_has_signs(small: Small, untrained: Make) -> None:
    twin, layers = untrained(small().twin()), binarised_layers(build(small()))
    layer, x = conv(twin, "stage2.1.conv"), torch.randn(2, 8, 4, 4)
    for part, expected in {
        "weights": nn.functional.conv2d(x, sign(layer.weight), padding=1),
        "activations": nn.functional.conv2d(sign(x), layer.weight, padding=1),
        "both": nn.functional.conv2d(sign(x), sign(layer.weight), padding=1),
    }.items():
        change = Change("stage2.1", part, ("stage2.1.conv",), "stage2.1")  # type: ignore[arg-type]
        with binarised(twin, change, layers):
            torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(x), nn.functional.conv2d(x, layer.weight, padding=1))
