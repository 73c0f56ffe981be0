"""Weights out of files that somebody else wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ir2search.errors import WeightsError


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by name out of ``.safetensors`` or a torch checkpoint, which is never unpickled.

    Raises:
        WeightsError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file") from None
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{file}: no weights that can be read: {_first(error)}") from None
    except Exception as error:  # torch.load raises UnpicklingError and more, by what is in there
        raise WeightsError(
            f"{file}: holds more than tensors, and loading it could run code: {_first(error)}; "
            "save its state_dict alone"
        ) from None
    return unwrapped(found, str(file))


def unwrapped(found: Any, source: str) -> dict[str, Tensor]:
    """Tensors by name, without a checkpoint's wrapper ``state_dict`` or the prefix ``module.``.

    Raises:
        WeightsError: there is anything but tensors; ``source`` names where.
    """
    inner = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(inner, Mapping) or not all(isinstance(v, Tensor) for v in inner.values()):
        raise WeightsError(f"{source}: not a state_dict, which holds tensors by name")
    return {str(key).removeprefix("module."): value for key, value in inner.items()}


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
