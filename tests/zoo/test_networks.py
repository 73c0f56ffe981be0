from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import ir2search as ir
from ir2search.errors import CandidateError
from ir2search.models import FAMILIES

# parameters, of them binary, BOPs, FLOPs, as measured on the networks that the authors released
RELEASED = {
    "cifar-resnet20": (272_458, 267_264, 40_108_032, 601_728),
    "cifar-resnet18": (11_207_096, 10_985_472, 547_356_672, 8_563_168),
    "cifar-vgg-small": (4_675_834, 4_571_136, 603_979_776, 3_856_128),
    "imagenet-resnet18-A": (12_220_264, 10_985_472, 1_676_279_808, 163_483_648),
    "imagenet-resnet18-B": (11_960_424, 10_985_472, 1_676_279_808, 150_751_488),
    "imagenet-resnet18-C": (11_882_344, 10_985_472, 1_676_279_808, 146_925_568),
    "imagenet-resnet18-D": (11_727_070, 10_985_472, 1_676_279_808, 139_315_966),
}


@pytest.mark.parametrize("name", RELEASED)
def test_a_preset_costs_what_the_released_network_does(name: str) -> None:
    price = ir.cost(ir.preset(name))
    counts = (price.parameters, price.binary_parameters, price.bops, price.flops)
    assert counts == RELEASED[name]


@pytest.mark.parametrize("name", [name for name in ir.presets() if "-A" in name or "cifar" in name])
def test_the_cost_equals_that_of_torchs_counter(name: str) -> None:
    network = ir.build_preset(name).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *ir.preset(name).image))
    price = ir.cost(ir.preset(name))
    assert 2 * (price.flops + price.bops) == counter.get_total_flops()


def test_resnet34_has_the_same_four_variants() -> None:
    for variant in "ABCD":
        small, large = (ir.preset(f"imagenet-resnet{d}-{variant}") for d in (18, 34))
        assert large == replace(small, depth=34)
        assert len(ir.build(large).get_submodule("stage3")) == 12  # type: ignore[arg-type]


def test_a_preset_can_have_another_number_of_classes() -> None:
    network = ir.build_preset("cifar-vgg-small", num_classes=100).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 100)
    with pytest.raises(CandidateError, match="classes: must be from 2 to"):
        ir.build_preset("cifar-vgg-small", num_classes=1)


# the other presets differ only in taps and fusion, which the test replaces
SHAPES = {(each.backbone, each.depth): name for name in ir.presets() for each in [ir.preset(name)]}


@pytest.mark.parametrize("name", SHAPES.values())
def test_recovery_works_with_any_subset_of_taps(name: str) -> None:
    base = replace(ir.preset(name), width=0.125, image=(3, 40, 33), classes=4)
    base = replace(base, fusion="compact", fusion_channels=4, fusion_group_size=1)
    every = FAMILIES[base.backbone].taps
    images, alone = torch.randn(2, 3, 40, 33), ir.cost(base.without_recovery()).flops
    for taps in (("stem",), every, every[1::2]):
        candidate = replace(base, taps=taps)
        network = ir.build(candidate).eval()
        logits = network(images)
        assert logits.shape == (2, 4)
        assert ir.cost(candidate).flops > alone
        network.get_parameter("recovery.primary.0.weight").data.zero_()
        assert not torch.equal(network(images), logits)


@pytest.mark.parametrize("name", ir.presets())
def test_an_image_that_is_too_small_is_refused(name: str) -> None:
    with pytest.raises(CandidateError, match=r"image: .* \d+ pixels a side, but got 3"):
        replace(ir.preset(name), image=(3, 3, 224))


def test_an_unknown_preset_gets_a_suggestion() -> None:
    with pytest.raises(CandidateError, match="no preset 'resnet20'; did you mean 'cifar-resnet20'"):
        ir.preset("resnet20")
