"""The files of a training: weights and optimiser as safetensors, learning curve as JSON lines.

Each file is first written under another name and then renamed, so a killed process never leaves a
part of a file. No file is a pickle.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ir2search.errors import CheckpointError, RunError, WeightsError
from ir2search.files import check_links, check_regular, parse_json, replacing, write_text
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate, build
from ir2search.training.layout import BEST, CURVE, LAST
from ir2search.training.results import EpochResult
from ir2search.training.weights import check_values
from ir2search.validation import checked

_logger = logging.getLogger(__name__)

LARGEST = 1 << 32  # bytes of a checkpoint


def save_network(network: nn.Module, file: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the network's weights and buffers to a safetensors file, with texts in its header."""
    save_tensors(network.state_dict(), file, dict(metadata or {}))


def load_network(candidate: Candidate, file: Path) -> TappedNetwork:
    """Build the candidate's network with the weights of ``file``.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the file is missing or corrupt, or has another network's weights.
    """
    network = build(candidate)
    load_into(network, file)
    return network.eval()


def load_into(network: nn.Module, file: Path) -> None:
    """Load the weights of ``file`` into a network.

    Raises:
        CheckpointError: the file is missing or corrupt, or has another network's weights.
    """
    weights, _ = _open(file)
    try:
        check_values(weights, network, str(file))
        network.load_state_dict(weights)
    except WeightsError as error:
        raise CheckpointError(str(error)) from None
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"{file}: the weights do not fit the candidate ({reason}); give those of this network"
        ) from None


def load_fitting(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load the weights and buffers whose name and shape the network has; ignore the others."""
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    fitting = {name: each for name, each in weights.items() if shapes.get(name) == each.shape}
    network.load_state_dict(fitting, strict=False)


def save_progress(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    curve: list[EpochResult],
    averaged: nn.Module | None = None,
) -> None:
    """Write everything that is needed to continue after the last epoch of the curve.

    ``averaged`` has the averaged weights, if the training averages them.
    """
    rows = [asdict(row) for row in curve]
    write_text(folder / CURVE, "".join(json.dumps(row) + "\n" for row in rows))
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
    if averaged is not None:
        tensors |= {f"averaged.{name}": tensor for name, tensor in averaged.state_dict().items()}
    save_tensors(tensors, folder / LAST, {"curve": json.dumps(rows)})


def load_progress(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: nn.Module | None = None,
) -> list[EpochResult]:
    """Load what `save_progress` wrote into a network, an optimiser and the averaged weights.

    Returns:
        The rows of the learning curve; none if there is no checkpoint yet.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is of another network.
    """
    file = folder / LAST
    if not file.exists():
        return []
    tensors, metadata = _open(file)
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    states: dict[int, dict[str, Tensor]] = defaultdict(dict)
    try:
        for name, tensor in tensors.items():
            owner, _, key = name.partition(".")
            parts[owner][key] = tensor
        for name, tensor in parts["optimizer"].items():
            index, _, key = name.partition(".")
            states[int(index)][key] = tensor
        network.load_state_dict(parts["network"])
        if averaged is not None:
            averaged.load_state_dict(parts["averaged"])
        optimizer.load_state_dict({**optimizer.state_dict(), "state": dict(states)})
        return checked(parse_json(metadata["curve"]), list[EpochResult], file)
    except (RuntimeError, KeyError, ValueError, RunError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"{file}: is the checkpoint of another training ({reason}); remove it to train again"
        ) from None


def discard_progress(folder: Path, error: CheckpointError) -> None:
    """Rename the damaged checkpoints and the learning curve of a training to ``*.damaged``.

    A warning says so, with the error that reading them gave.
    """
    _logger.warning("%s: the files are kept as *.damaged, and the training starts again", error)
    check_links(folder)
    for name in (LAST, BEST, CURVE):
        file = folder / name
        if file.exists():
            file.replace(file.with_name(f"{name}.damaged"))


def _open(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Raises:
        CheckpointError: the file is missing or damaged.
        PermissionError: this user may not read it, which says nothing about its content.
    """
    try:
        check_regular(file, LARGEST)
        file.open("rb").close()
        with safe_open(file, "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            return tensors, stored.metadata() or {}
    except PermissionError:
        raise
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{file}: cannot be read as a checkpoint ({error}); remove it to train again"
        ) from None


def save_tensors(tensors: Mapping[str, Tensor], file: Path, metadata: dict[str, str]) -> None:
    """Write tensors by name to a safetensors file."""
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with replacing(file) as partial:
        save_file(whole, partial, metadata)
