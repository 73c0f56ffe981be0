from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ir2search.errors import CheckpointError, RunError
from ir2search.space import Candidate, build
from ir2search.training import load_network
from ir2search.training.checkpoint import (
    discard_progress,
    load_fitting,
    load_progress,
    save_network,
)

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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    network = build(SMALL)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = value
    save_network(network, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors: \S+weight has values that are NaN"):
        load_network(SMALL, tmp_path / "a.safetensors")


def test_whole_numbers_and_negative_variances_are_refused(tmp_path: Path) -> None:
    network = build(SMALL)
    weights = network.state_dict()
    name = next(iter(weights))
    save_file({**weights, name: weights[name].long()}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"must have real numbers, but has torch\.int64"):
        load_network(SMALL, tmp_path / "a.safetensors")
    variance = next(name for name in weights if name.endswith("running_var"))
    save_file({**weights, variance: -weights[variance]}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="running_var has negative variances"):
        load_network(SMALL, tmp_path / "a.safetensors")


def test_damaged_files_are_put_aside_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("last.safetensors", "best.safetensors", "curve.jsonl"):
        (tmp_path / name).write_text("damaged")
    discard_progress(tmp_path, CheckpointError("best.safetensors: cannot be read"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.safetensors.damaged", "curve.jsonl.damaged", "last.safetensors.damaged",
    ]  # fmt: skip
    assert caplog.messages == [
        "best.safetensors: cannot be read: the files are kept as *.damaged, and the training "
        "starts again"
    ]


def test_a_file_that_may_not_be_read_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.safetensors"
    save_network(build(SMALL), file)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        load_network(SMALL, file)


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("optimizer.first.step", "[]"),
        ("optimizer.0.step", "[1]"),
        ("optimizer.0.step", "[" * 5000),
        ("network.further", "[]"),
        ("optimizer.0.step", '[{"epoch": 1}]'),
    ],
)
def test_a_damaged_checkpoint_of_a_training_is_named(tmp_path: Path, name: str, curve: str) -> None:
    network = build(SMALL)
    optimizer = torch.optim.AdamW(network.parameters())
    tensors = {f"network.{key}": tensor for key, tensor in network.state_dict().items()}
    save_file(tensors | {name: torch.ones(1)}, tmp_path / "last.safetensors", {"curve": curve})
    with pytest.raises(CheckpointError, match=r"last\.safetensors"):
        load_progress(tmp_path, network, optimizer)
