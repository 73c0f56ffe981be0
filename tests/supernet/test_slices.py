import itertools
import random

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import ir2search as ir
from ir2search.space import Candidate
from ir2search.supernet import Supernet
from ir2search.supernet.slices import slices

REAL = {"weights": "real", "activations": "real"}
SPACES = {
    "cifar-resnet": {"depth": (8, 14, 20), "width": (0.25, 0.4375, 1.0)},
    "cifar-basic-resnet": {"depth": (18, 34), "width": (0.0625, 0.125)},
    "cifar-vgg": {"width": (0.0625, 0.15)},
    "imagenet-resnet": {"depth": (18, 34), "width": (0.0625, 0.125)},
}


def space_of(backbone: str, searched: dict[str, tuple], **fixed: object) -> ir.SearchSpace:
    side = 32 if backbone == "imagenet-resnet" else 16
    domains = {name: ir.Choice(values) for name, values in searched.items()}
    return ir.SearchSpace({"backbone": backbone, **fixed}, domains).with_data((3, side, side), 10)


def tapped(backbone: str) -> dict[str, tuple]:
    taps = ("stem", "conv1") if backbone == "cifar-vgg" else ("stem", "stage1")
    return {f"tap_{name}": (True, False) for name in taps}


@torch.no_grad()
def randomise(network: nn.Module) -> None:
    """Give BatchNorms statistics as after a training."""
    for norm in norms(network).values():
        for values in (norm.weight, norm.running_var):
            values.uniform_(0.5, 1.5)
        for values in (norm.bias, norm.running_mean):
            values.normal_(std=0.3)


def norms(network: nn.Module) -> dict[str, _BatchNorm]:
    return {n: each for n, each in network.named_modules() if isinstance(each, _BatchNorm)}


@torch.no_grad()
def silence(large: nn.Module, kept: dict[str, Tensor]) -> None:
    """Set the channels of each BatchNorm that are not kept to 0."""
    for name, norm in norms(large).items():
        dropped = torch.ones(len(norm.weight), dtype=torch.bool)
        dropped[kept.get(name, torch.arange(0))] = False
        norm.weight[dropped] = 0
        norm.bias[dropped] = 0


@pytest.mark.parametrize("backbone", SPACES)
def test_a_subnet_is_the_largest_network_without_the_other_channels(backbone: str) -> None:
    """In full precision, a channel that is 0 everywhere is as good as absent."""
    torch.manual_seed(0)
    searched = {**SPACES[backbone], **tapped(backbone)}
    space = space_of(backbone, searched, fusion="dense", **REAL)
    supernet = Supernet(space)
    images = torch.randn(2, *supernet.largest.image)
    shapes = {name: each.shape for name, each in supernet.network.named_parameters()}
    points = [p for p in space.grid() if any(v for name, v in p.items() if "tap" in name)]
    for point in random.Random(0).sample(points, min(4, len(points))):
        candidate = space.candidate(point)
        small = supernet.subnet(candidate).eval()
        large = supernet.subnet(supernet.largest).eval()
        randomise(large)
        found = slices(supernet.extremes, candidate, small, shapes)
        kept = {name: found[f"{name}.weight"][0] for name in norms(small)}
        silence(large, kept)
        others, own = norms(large), norms(small)
        for name, norm in own.items():
            for key, values in norm.state_dict().items():
                if values.ndim:
                    values.copy_(others[name].state_dict()[key][kept[name]])
        for tap, start in taps_of(supernet.largest).items():
            if tap not in candidate.taps:
                count = supernet.largest.channels[start[0]]
                large.recovery.primary[0].weight.data[:, start[1] : start[1] + count] = 0
        torch.testing.assert_close(small(images), large(images), rtol=1e-4, atol=1e-4)


def taps_of(candidate: Candidate) -> dict[str, tuple[int, int]]:
    """Index and first input of the fusion of each tap."""
    offsets = itertools.accumulate((0, *candidate.channels))
    return {
        tap: (i, start) for i, (tap, start) in enumerate(zip(candidate.taps, offsets, strict=False))
    }
