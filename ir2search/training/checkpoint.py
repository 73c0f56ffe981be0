"""A candidate's training on disk: weights and optimiser as safetensors, the curve as JSON lines.

Every file is written beside its place and then renamed onto it, so that a kill at any moment
leaves a whole one. Nothing here is a pickle.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ir2search.errors import CheckpointError
from ir2search.files import write_text
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate, build
from ir2search.training.layout import BEST, CURVE, LAST


def save_network(network: nn.Module, file: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the network's weights and buffers, and what else there is to say in text."""
    _save(network.state_dict(), file, dict(metadata or {}))


def load_network(candidate: Candidate, file: Path) -> TappedNetwork:
    """The candidate's network with the weights of ``file``, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the file is missing, corrupt, or of another network.
    """
    network = build(candidate)
    weights, _ = _open(file)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{file}: the weights do not fit the candidate: {reason}") from None
    return network.eval()


def load_fitting(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load the weights and buffers whose name and shape the network has; ignore the others."""
    own = network.state_dict()
    fitting = {
        name: tensor
        for name, tensor in weights.items()
        if name in own and own[name].shape == tensor.shape
    }
    network.load_state_dict(fitting, strict=False)


def save_progress(
    folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, curve: list[dict[str, Any]]
) -> None:
    """Write all that training needs to go on after the curve's last epoch."""
    text = "".join(json.dumps(row) + "\n" for row in curve)
    write_text(folder / CURVE, text)
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
    _save(tensors, folder / LAST, {"curve": json.dumps(curve)})


def load_progress(
    folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> list[dict[str, Any]]:
    """Take up training where `save_progress` left it; gives the curve, empty at the start.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is another network's.
    """
    file = folder / LAST
    if not file.exists():
        return []
    tensors, metadata = _open(file)
    weights = {
        name.removeprefix("network."): tensor
        for name, tensor in tensors.items()
        if name.startswith("network.")
    }
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            states.setdefault(int(index), {})[key] = tensor
    try:
        network.load_state_dict(weights)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
        curve: list[dict[str, Any]] = json.loads(metadata["curve"])
    except (RuntimeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"{file}: not this training's checkpoint ({reason}); remove it to train again"
        ) from None
    return curve


def discard_progress(folder: Path) -> None:
    """Remove a training's checkpoints and its curve."""
    for name in (LAST, BEST, CURVE):
        (folder / name).unlink(missing_ok=True)


def _open(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(file, "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            return tensors, stored.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{file}: not a checkpoint that can be read ({error}); remove it to train again"
        ) from None


def _save(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    partial = file.with_suffix(".partial")
    try:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata
        )
    except SafetensorError as error:
        partial.unlink(missing_ok=True)
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(file)) from None
    partial.replace(file)
