from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ir2search.errors import RunError
from ir2search.space import Candidate, build
from ir2search.training import load_network
from ir2search.training.checkpoint import load_fitting, save_network

SMALL = Candidate(depth=8, width=0.25, image=(1, 8, 8))


def test_a_saved_network_is_loaded_unchanged(tmp_path: Path) -> None:
    network = build(SMALL)
    network(torch.randn(8, 1, 8, 8))  # statistics of its own
    save_network(network, tmp_path / "a.safetensors")
    again = load_network(SMALL, tmp_path / "a.safetensors")
    assert not again.training
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("other", [SMALL.backbone_only(), Candidate(depth=8, image=(1, 8, 8))])
def test_tensors_with_fitting_names_and_shapes_are_loaded(other: Candidate) -> None:
    network, given = build(SMALL), build(other).state_dict()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_fitting(network, given)
    for name, tensor in network.state_dict().items():
        fits = name in given and given[name].shape == tensor.shape
        assert torch.equal(tensor, given[name] if fits else before[name]), name
    assert any(name not in given or given[name].shape != before[name].shape for name in before)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a\.safetensors: cannot be read as a checkpoint"):
        load_network(SMALL, tmp_path / "a.safetensors")
    torch.save(build(SMALL).state_dict(), tmp_path / "a.safetensors")  # a pickle by that name
    with pytest.raises(RunError, match=r"a\.safetensors: cannot be read as a checkpoint"):
        load_network(SMALL, tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "other",
    [Candidate(depth=14, width=0.25, image=(1, 8, 8)), Candidate(depth=8, image=(1, 8, 8))],
)
def test_weights_of_another_network_are_named(tmp_path: Path, other: Candidate) -> None:
    save_network(build(other), tmp_path / "a.safetensors")
    with pytest.raises(RunError, match=r"a\.safetensors: the weights do not fit the candidate"):
        load_network(SMALL, tmp_path / "a.safetensors")
