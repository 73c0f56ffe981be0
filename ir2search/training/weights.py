"""Read weights that other programs wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ir2search.errors import WeightsError


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read tensors by name from a ``.safetensors`` file or a torch checkpoint.

    A checkpoint is read without unpickling arbitrary objects.

    Raises:
        WeightsError: the file is missing or damaged, or has more than tensors and plain values.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file") from None
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{file}: cannot be read as weights: {_first(error)}") from None
    except Exception as error:  # torch.load raises many types, depending on the pickle's content
        raise WeightsError(
            f"{file}: contains more than tensors, and loading it could run code: {_first(error)}; "
            "save only its state_dict"
        ) from None
    return unwrapped(found, str(file))


def check_values(weights: Mapping[str, Tensor], network: nn.Module, source: str) -> None:
    """Check that weights are finite real numbers, and variances not negative.

    Args:
        weights: tensors by name; names that the network does not have are not checked.
        network: the network that will get them.
        source: name of the weights, for the error.

    Raises:
        WeightsError: a tensor breaks a rule.
    """
    for name, own in network.state_dict().items():
        given = weights.get(name)
        if given is None or not own.is_floating_point():
            continue
        if not given.is_floating_point():
            raise WeightsError(f"{source}: {name} must have real numbers, but has {given.dtype}")
        if not given.isfinite().all():
            raise WeightsError(f"{source}: {name} has values that are NaN or infinite")
        if name.endswith("running_var") and (given < 0).any():
            raise WeightsError(f"{source}: {name} has negative variances")


def unwrapped(found: Any, source: str) -> dict[str, Tensor]:
    """Remove a checkpoint's wrapper ``state_dict``, and the prefix ``module.`` of its names.

    Args:
        found: tensors by name, or a mapping that has them under ``"state_dict"``.
        source: name of the weights, for the error.

    Raises:
        WeightsError: a value is not a tensor.
    """
    inner = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(inner, Mapping) or not all(isinstance(v, Tensor) for v in inner.values()):
        raise WeightsError(f"{source}: must be a state_dict, a mapping from names to tensors")
    return {str(key).removeprefix("module."): value for key, value in inner.items()}


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
