"""Packed files: safetensors with the graph as JSON in the header.

Binary weights are bits, (outputs, kernel rows, kernel columns, inputs) in order, the first in the
lowest bit, 1 for +1. All else is float32. A BatchNorm is folded into a scale and a shift; where a
sign follows, the engine makes a threshold of whole numbers of both.

The file holds two tensors, ``numbers`` (F32) and ``bits`` (U8): those of all nodes one after the
other, so that the header does not name each. The graph is ``{"image": [C, H, W], "nodes": [...]}``.
A node is ``[op, name, inputs, numbers, tensors]``, the last two in `OPERATIONS`' order, and ends
where only empty lists would follow. Of a tensor the shape stands there where it is of numbers, and
how many bytes it has where it is of bits; null for one that is not there.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ir2search.errors import WeightsError
from ir2search.files import write_bytes
from ir2search.runtime.graph import OPERATIONS, Array, Graph, check_graph

FORMAT, VERSION = "ir2search-packed", "3"
LARGEST_HEADER = 2**24  # bytes
LARGEST_SIDE = 2**31  # of a tensor
KINDS = {"numbers": np.float32, "bits": np.uint8}


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
    graph, arrays = pack(description, tensors)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "graph": json.dumps(graph, separators=(",", ":")),
        "about": json.dumps(about, separators=(",", ":")),
    }
    write_bytes(file, save(arrays, metadata))


def pack(
    description: Mapping[str, Any], tensors: Mapping[str, Array]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """A graph as the file has it, and the tensors one after the other; see the module."""
    parts: dict[str, list[Array]] = {kind: [np.zeros(0, dtype)] for kind, dtype in KINDS.items()}
    nodes = []
    for node in description["nodes"]:
        named, numbers = node.get("tensors", {}), node.get("numbers", {})
        given = [tensors.get(named.get(role)) for role in OPERATIONS[node["op"]].tensors]
        for tensor in given:
            if tensor is not None:
                parts[_kind(tensor)].append(tensor.ravel())
        values = [numbers[name] for name in OPERATIONS[node["op"]].numbers]
        shapes = [_shape(tensor) for tensor in given] if named else []
        row = [node["op"], node.get("name", ""), node["inputs"], values, shapes]
        while row[-1] == []:
            row.pop()
        nodes.append(row)
    arrays = {kind: np.concatenate(each) for kind, each in parts.items()}
    return {"image": description["image"], "nodes": nodes}, arrays


def _kind(tensor: Array) -> str:
    return "bits" if tensor.dtype == np.uint8 else "numbers"


def _shape(tensor: Array | None) -> list[int] | int | None:
    if tensor is None:
        return None
    return tensor.size if _kind(tensor) == "bits" else list(tensor.shape)


def unpack(graph: Any, arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The inverse of `pack`, for `check_graph`: here only what tensors there are is checked.

    Raises:
        WeightsError: it is no such graph, or the tensors are of another size than it says.
    """
    if not isinstance(graph, dict) or not isinstance(graph.get("nodes"), list):
        raise WeightsError("the graph must have `image` and `nodes`, which is a list")
    taken = dict.fromkeys(KINDS, 0)
    tensors: dict[str, Array] = {}
    nodes = []
    for index, row in enumerate(graph["nodes"]):
        try:
            op, name, inputs, values, shapes = _five(row)
            named = {}
            for role, shape in zip(OPERATIONS[op].tensors, shapes, strict=False):
                if shape is not None:
                    named[role] = f"{index}.{role}"
                    tensors[named[role]] = _cut(arrays, taken, role, shape)
        except WeightsError as error:
            raise WeightsError(f"node {index}: {error}") from None
        numbers = dict(zip(OPERATIONS[op].numbers, values, strict=True))
        node = {"op": op, "name": name, "inputs": inputs, "numbers": numbers, "tensors": named}
        nodes.append(node)
    for kind, array in arrays.items():
        if left := len(array) - taken[kind]:
            raise WeightsError(f"{left} of the {len(array)} `{kind}` belong to no node")
    return {**graph, "nodes": nodes}, tensors


def _five(row: Any) -> list[Any]:
    """All parts of a node."""
    if not isinstance(row, list) or not 2 <= len(row) <= 5:
        raise WeightsError("must be a list of operation, name, inputs, numbers and tensors")
    op, name, inputs, values, shapes = row + [[]] * (5 - len(row))
    if not isinstance(op, str) or op not in OPERATIONS:
        raise WeightsError(f"unknown operation {op!r:.40}")
    numbers, roles = OPERATIONS[op].numbers, OPERATIONS[op].tensors
    if not isinstance(values, list) or len(values) != len(numbers):
        raise WeightsError(f"{op} has numbers {list(numbers)}")
    if not isinstance(shapes, list) or len(shapes) not in (0, len(roles)):
        raise WeightsError(f"{op} has tensors {list(roles)}")
    return [op, name, inputs, values, shapes]


def _cut(arrays: Mapping[str, Array], taken: dict[str, int], role: str, shape: Any) -> Array:
    """The next tensor of its kind."""
    sides = shape if isinstance(shape, list) else [shape]
    if not all(isinstance(side, int) and 0 <= side <= LARGEST_SIDE for side in sides):
        raise WeightsError(f"`{role}` has no shape of a tensor")
    kind = "numbers" if isinstance(shape, list) else "bits"
    start = taken[kind]
    taken[kind] += math.prod(sides)
    if taken[kind] > len(arrays[kind]):
        raise WeightsError(f"`{role}` needs more {kind} than there are")
    return arrays[kind][start : taken[kind]].reshape(sides)


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
        graph = json.loads(metadata.get("graph", ""))
        if set(stored.keys()) != set(KINDS):
            raise WeightsError(f"must hold the tensors {' and '.join(KINDS)} and no other")
        arrays = {name: _array(stored, name) for name in KINDS}
    return check_graph(*unpack(graph, arrays))


def _array(stored: Any, name: str) -> Array:
    wanted, kind = np.dtype(KINDS[name]), stored.get_slice(name).get_dtype()
    if kind != {"float32": "F32", "uint8": "U8"}[wanted.name]:
        raise WeightsError(f"`{name}` must be {wanted.name}, but is {kind:.20}")
    array: Array = stored.get_tensor(name)
    if array.ndim != 1:
        raise WeightsError(f"`{name}` must be of one dimension")
    if not np.isfinite(array).all():
        raise WeightsError(f"`{name}` hold what is not finite")
    return array
