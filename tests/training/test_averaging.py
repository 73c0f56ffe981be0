from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import ir2search as ir
from ir2search.data import DataConfig, Split, load_data
from ir2search.training.averaging import moving_average
from ir2search.training.checkpoint import load_network
from ir2search.training.layout import BEST

SMALL = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))


def test_weights_are_an_exponential_average_over_the_steps() -> None:
    network = ir.build(SMALL)
    averaged = moving_average(network, 0.75)
    assert averaged is not None
    name, expected = "stage1.0.conv.weight", None
    for value in (1.0, 2.0, 4.0):
        network.get_parameter(name).data.fill_(value)
        averaged.update_parameters(network)
        expected = value if expected is None else 0.75 * expected + 0.25 * value
    assert expected is not None
    found = averaged.module.get_parameter(name)
    torch.testing.assert_close(found.data, torch.full_like(found, expected))
    assert moving_average(network, 0.0) is None


def test_statistics_are_those_of_the_averaged_weights(tmp_path: Path) -> None:
    """The first BatchNorm sees the stem's outputs; one batch holds all images."""
    data = load_data(DataConfig(size=8), None, tmp_path / "cache", 0)
    assert isinstance(data.train, Split)
    recipe = ir.Recipe(
        epochs=2, batch_size=2000, optimizer="adamw", lr=0.1, ema=0.5, crop_padding=0, flip=False
    )
    ir.train(SMALL, recipe, data, tmp_path, seed=0)
    network = load_network(SMALL, tmp_path / BEST)
    stem, norm = network.get_submodule("stem.0"), network.get_submodule("stem.1")
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        maps = stem(data.normalise(data.train.images))
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, maps.var(dim=(0, 2, 3)))
    assert norm.momentum == 0.1, "as before"
