from __future__ import annotations

import torch
from torch.nn import functional

from ir2search.space import Candidate, build


def test_each_tap_is_the_output_of_its_layer() -> None:
    network = build(Candidate(depth=8)).eval()
    images = torch.randn(2, 3, 32, 32)
    taps, last = network.feature_maps(images)
    assert {name: tuple(tap.shape) for name, tap in taps.items()} == {
        "stem": (2, 16, 32, 32),
        "stage1": (2, 16, 32, 32),
        "stage2": (2, 32, 16, 16),
    }
    assert torch.equal(taps["stem"], network.stem(images))
    assert torch.equal(taps["stage1"], network.stage1(taps["stem"]))
    assert torch.equal(last, network.stage3(taps["stage2"]))


def test_all_parameters_get_a_gradient() -> None:
    torch.manual_seed(0)
    network = build(Candidate(depth=8, width=0.25))
    network(torch.randn(8, 3, 32, 32)).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_a_stem_of_patches_is_a_1x1_convolution_after_space_to_depth() -> None:
    network = build(Candidate(depth=8, stem_kernel=4, stem_stride=4, image=(3, 32, 32))).eval()
    weight = network.stem[0].weight
    images = torch.randn(2, 3, 32, 32)
    pixels = functional.pixel_unshuffle(images, 4)  # (N, 3 * 4 * 4, 8, 8)
    expected = functional.conv2d(pixels, weight.flatten(1)[:, :, None, None])
    torch.testing.assert_close(network.stem[0](images), expected)
