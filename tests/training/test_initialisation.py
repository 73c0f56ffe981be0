from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import ir2search as ir
from ir2search.data import DataConfig, ImageData, load_data
from ir2search.training.initialisation import initialise_stem

SMALL = ir.Candidate(depth=8, image=(1, 8, 8))
STEM = "stem.0.weight"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return load_data(DataConfig(size=8, validation=0.2), None, tmp_path_factory.mktemp("c"), 0)


def test_whitened_filters_give_uncorrelated_outputs_of_variance_one(digits: ImageData) -> None:
    network = ir.build(SMALL)
    before = network.get_parameter(STEM).detach().clone()
    initialise_stem(network, "whitened", digits)
    weight = network.get_parameter(STEM).detach()
    images = digits.normalise(digits.train.take(torch.arange(1024))[0])
    outputs = functional.conv2d(images, weight[:9]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(outputs.cov(), torch.eye(9), atol=0.05, rtol=0)
    assert torch.equal(weight[9:], before[9:]), "a patch of 3 x 3 pixels has 9 components"


def test_dirac_filters_copy_the_input(digits: ImageData) -> None:
    network = ir.build(replace(SMALL, image=(3, 32, 32)))
    before = network.get_parameter(STEM).detach().clone()
    initialise_stem(network, "dirac", digits)
    weight = network.get_parameter(STEM).detach()
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(functional.conv2d(images, weight[:3], padding=1), images)
    assert torch.equal(weight[3:], before[3:])


def test_kaiming_leaves_the_weights(digits: ImageData, tmp_path: Path) -> None:
    network = ir.build(SMALL)
    before = network.get_parameter(STEM).detach().clone()
    initialise_stem(network, "kaiming", digits)
    assert torch.equal(network.get_parameter(STEM), before)


@pytest.mark.parametrize("stem", ["int8", "thermometer"])
def test_a_stem_of_binary_weights_keeps_its_random_weights(digits: ImageData, stem: str) -> None:
    network = ir.build(replace(SMALL, stem=stem))
    before = [each.clone() for each in network.state_dict().values()]
    for start in ("dirac", "whitened"):
        initialise_stem(network, start, digits)
    after = network.state_dict().values()
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
