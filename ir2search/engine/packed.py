"""Packed files: safetensors with the graph as JSON in the header.

Binary weights are bits, (outputs, kernel rows, kernel columns, inputs) in order, the first in the
lowest bit, 1 for +1. All else is float32 as the training graph has it; what can be folded is
folded when the file is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ir2search.engine.graph import Array, Graph, check_graph
from ir2search.errors import InputError, WeightsError
from ir2search.files import write_bytes

FORMAT, VERSION = "ir2search-packed", "1"
LARGEST_HEADER = 2**24  # bytes


def write_packed(
    file: Path, description: Mapping[str, Any], tensors: Mapping[str, Array], about: object = None
) -> None:
    """Write a packed file.

    Args:
        file: where.
        description: what `check_graph` takes.
        tensors: by name, bits as uint8 and numbers as float32.
        about: anything that JSON can hold, for those who read the header.
    """
    check_graph(description, tensors)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "graph": json.dumps(description, separators=(",", ":")),
        "about": json.dumps(about),
    }
    plain = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    write_bytes(file, save(plain, metadata))


def read_packed(file: Path) -> Graph:
    """The network of a packed file, with all that it says checked.

    Raises:
        WeightsError: the file is missing, cut short or damaged, of another format or version, or
            describes no network; nothing larger than the file itself was allocated.
    """
    try:
        return _read(file)
    except WeightsError as error:
        raise WeightsError(f"{file}: {error}; export the network again") from None
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file") from None
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise WeightsError(f"{file}: no packed network: {first}; export it again") from None


def read_about(file: Path) -> dict[str, Any]:
    """What the writer of a packed file said about it: empty where it said nothing.

    Raises:
        InputError: there is no packed file.
    """
    read_packed(file)
    with safe_open(file, "numpy") as stored:
        about = json.loads((stored.metadata() or {}).get("about", "null"))
    return about if isinstance(about, dict) else {}


def _read(file: Path) -> Graph:
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        header = int.from_bytes(stream.read(8), "little")
    if header > min(size - 8, LARGEST_HEADER):
        raise WeightsError("cut short, or no safetensors file")
    with safe_open(file, "numpy") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise WeightsError("not a packed network")
        if metadata.get("version") != VERSION:
            raise WeightsError(
                f"of version {metadata.get('version')!r:.20}, but this program reads {VERSION}"
            )
        description = json.loads(metadata.get("graph", ""))
        tensors = {name: _tensor(stored, name) for name in stored.keys()}  # noqa: SIM118
    return check_graph(description, tensors)


def _tensor(stored: Any, name: str) -> Array:
    kind = stored.get_slice(name).get_dtype()
    if kind not in ("F32", "U8"):
        raise WeightsError(f"tensor {name!r:.60} must be F32 or U8, but is {kind:.20}")
    tensor: Array = stored.get_tensor(name)
    if tensor.dtype == np.float32 and not np.isfinite(tensor).all():
        raise WeightsError(f"tensor {name!r:.60} holds what is not finite")
    return tensor


__all__ = ["InputError", "read_about", "read_packed", "write_packed"]
