from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ir2search.information.chain import INPUT, TAP, Chain
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.zoo import build_preset

Make = Callable[[Candidate], TappedNetwork]


@pytest.mark.parametrize(
    ("taps", "bypasses"),
    [
        (
            ("stem", "stage2"),
            {
                "input": (),
                "stem": (),
                "stage1.0": ("stem",),
                "stage1.1": ("stem",),
                "stage2.0": ("stem",),
                "stage2.1": ("stem",),
                "stage3.0": ("stem", "stage2.1"),
                "stage3.1": ("stem", "stage2.1"),
                "recovery": (),
            },
        ),
        (
            (),
            dict.fromkeys(
                ["input", "stem", *(f"stage{s}.{u}" for s in (1, 2, 3) for u in (0, 1))], ()
            ),
        ),
    ],
)
def test_a_cut_is_a_layer_with_the_taps_that_bypass_it(
    small: Callable[..., Candidate],
    untrained: Make,
    taps: tuple[str, ...],
    bypasses: dict[str, tuple[str, ...]],
) -> None:
    found = Chain(untrained(small(taps=taps))).cuts
    expected = {name: tuple(TAP + tap for tap in passed) for name, passed in bypasses.items()}
    assert {name: cut.bypassing for name, cut in found.items()} == expected


@pytest.mark.parametrize("name", ["cifar-resnet18", "cifar-vgg-small", "imagenet-resnet18-C"])
def test_the_rest_of_the_network_after_each_cut_gives_the_same_logits(name: str) -> None:
    torch.manual_seed(0)
    network = build_preset(name).eval()
    images = torch.randn(2, 3, 64, 64) if "imagenet" in name else torch.randn(2, 3, 32, 32)
    chain = Chain(network)
    with torch.no_grad():
        maps, logits = chain.maps(images)
        assert torch.equal(logits, network(images))
        for cut in chain.cuts.values():
            found = chain.after(cut)(*(maps[part] for part in cut.names))
            assert torch.equal(found, logits), cut.name


def test_the_gradient_of_a_tap_is_that_of_the_path_through_it(
    small: Callable[..., Candidate], untrained: Make, batch: tuple[Tensor, Tensor]
) -> None:
    network = untrained(small(taps=("stem",)).twin())
    images = batch[0].requires_grad_()
    maps, logits = Chain(network).maps(images)
    whole, tap = torch.autograd.grad(logits.sum(), [maps["stem"], maps[TAP + "stem"]])
    cut = Chain(network).cuts["stage1.0"]
    own, alone = (maps[name].detach().requires_grad_() for name in cut.names)
    Chain(network).after(cut)(own, alone).sum().backward()
    assert alone.grad is not None
    torch.testing.assert_close(tap, alone.grad)
    assert not torch.allclose(whole, tap)
    assert INPUT in maps
