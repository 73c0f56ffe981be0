"""Packed files: safetensors with the graph as JSON in the header.

Binary weights are bits in the order (outputs, kernel rows, kernel columns, inputs). The first is
the lowest bit of the first byte, and 1 stands for +1. All other numbers are float32. A BatchNorm is
stored as a scale and a shift; before a sign, the runtime turns both into an integer threshold.

The file has two tensors, ``numbers`` (F32) and ``bits`` (U8), which hold the tensors of all nodes
one after the other. The graph in the header is
``{"image": [C, H, W], "nodes": [...]}``. A node is ``[op, name, inputs, numbers, tensors]``, with
numbers and tensors in the order of `OPERATIONS`; empty lists at its end are left out. A tensor of
numbers is given by its shape, a tensor of bits by its number of bytes, a missing tensor by null.
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

from ir2search.errors import WeightsError, first_line
from ir2search.files import check_regular, parse_json, write_bytes
from ir2search.runtime.graph import OPERATIONS, Array, Graph, GraphBuilder

PACKED = ".packed"  # the suffix of packed files
FORMAT, VERSION = "ir2search-packed", "3"
LARGEST_FILE = 2**30  # bytes
LARGEST_HEADER = 2**24  # bytes
LARGEST_SIDE = 2**31  # elements of a tensor along one axis
KINDS = {"numbers": np.float32, "bits": np.uint8}


def write_packed(file: Path, graph: Graph, about: object = None) -> None:
    """Write a network to a packed file, with a JSON value ``about`` for `read_about`."""
    header, arrays = pack(graph)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "graph": json.dumps(header, separators=(",", ":")),
        "about": json.dumps(about, separators=(",", ":")),
    }
    write_bytes(file, save(arrays, metadata))


def pack(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    """The graph as it is in the header, and the arrays ``numbers`` and ``bits``."""
    parts: dict[str, list[Array]] = {kind: [np.zeros(0, dtype)] for kind, dtype in KINDS.items()}
    nodes = []
    for node in graph.nodes:
        operation = OPERATIONS[node.op]
        tensors = [node.tensors.get(role) for role in operation.tensors]
        for tensor in tensors:
            if tensor is not None:
                parts[_kind(tensor)].append(tensor.ravel())
        values = [node.numbers[name] for name in operation.numbers]
        shapes = [None if each is None else _shape(each) for each in tensors if node.tensors]
        row = [node.op, node.name, list(node.inputs), values, shapes]
        while row[-1] == []:
            row.pop()
        nodes.append(row)
    height, width, channels = graph.image
    arrays = {kind: np.concatenate(each) for kind, each in parts.items()}
    return {"image": [channels, height, width], "nodes": nodes}, arrays


def _kind(tensor: Array) -> str:
    return "bits" if tensor.dtype == np.uint8 else "numbers"


def _shape(tensor: Array) -> list[int] | int:
    return tensor.size if _kind(tensor) == "bits" else list(tensor.shape)


def unpack(header: Any, arrays: Mapping[str, Array]) -> Graph:
    """The inverse of `pack`.

    Raises:
        WeightsError: the header does not describe a valid network, or does not fit the arrays.
    """
    if not isinstance(header, dict) or set(header) != {"image", "nodes"}:
        raise WeightsError("the graph must have `image` and `nodes`")
    if not isinstance(header["nodes"], list):
        raise WeightsError("`nodes` must be a list")
    used = dict.fromkeys(KINDS, 0)
    builder = GraphBuilder(header["image"])
    for index, row in enumerate(header["nodes"]):
        try:
            op, name, inputs, values, shapes = _parts(row)
            tensors = {
                role: _next_tensor(arrays, used, role, shape)
                for role, shape in zip(OPERATIONS[op].tensors, shapes, strict=False)
                if shape is not None
            }
        except WeightsError as error:
            raise WeightsError(f"node {index}: {error}") from None
        numbers = dict(zip(OPERATIONS[op].numbers, values, strict=True))
        builder.add(op, inputs, name, tensors, **numbers)
    for kind, array in arrays.items():
        if left := len(array) - used[kind]:
            raise WeightsError(f"{left} of {len(array)} `{kind}` belong to no node")
    return builder.graph()


def _parts(row: Any) -> list[Any]:
    """Split a node of the header into its five parts, and check them."""
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


def _next_tensor(arrays: Mapping[str, Array], used: dict[str, int], role: str, shape: Any) -> Array:
    """Take the next tensor from the array of its kind."""
    sides = shape if isinstance(shape, list) else [shape]
    if not all(isinstance(side, int) and 0 <= side <= LARGEST_SIDE for side in sides):
        raise WeightsError(f"the shape of `{role}` must be whole numbers in range")
    kind = "numbers" if isinstance(shape, list) else "bits"
    start = used[kind]
    used[kind] += math.prod(sides)
    if used[kind] > len(arrays[kind]):
        raise WeightsError(f"`{role}` needs more {kind} than there are")
    return arrays[kind][start : used[kind]].reshape(sides)


def read_packed(file: Path) -> Graph:
    """Read and check the network of a packed file; allocate at most the size of the file.

    Raises:
        WeightsError: the file is missing or damaged, has another format or version, or does not
            describe a valid network.
    """
    return read_described(file)[0]


def read_about(file: Path) -> dict[str, Any]:
    """The value ``about`` of a packed file; empty if `write_packed` got none.

    Raises:
        WeightsError: as for `read_packed`.
    """
    return read_described(file)[1]


def read_described(file: Path) -> tuple[Graph, dict[str, Any]]:
    """The network of a packed file and the value ``about``, see `read_packed` and `read_about`."""
    try:
        return _read(file)
    except WeightsError as error:
        raise WeightsError(f"{file}: {error}; export the network again") from None
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file") from None
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        first = first_line(error)[:120]
        raise WeightsError(
            f"{file}: not a packed network: {first}; export the network again"
        ) from None


def _read(file: Path) -> tuple[Graph, dict[str, Any]]:
    check_regular(file, LARGEST_FILE)
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        header_bytes = int.from_bytes(stream.read(8), "little")
    if header_bytes > min(size - 8, LARGEST_HEADER):
        raise WeightsError("cut short, or not a safetensors file")
    with safe_open(file, "numpy") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise WeightsError("not a packed network")
        if metadata.get("version") != VERSION:
            raise WeightsError(
                f"its version is {metadata.get('version')!r:.20}, but must be {VERSION!r}"
            )
        header = parse_json(metadata.get("graph", ""))
        if set(stored.keys()) != set(KINDS):
            raise WeightsError(f"must hold exactly the tensors {' and '.join(KINDS)}")
        arrays = {name: _array(stored, name) for name in KINDS}
        about = parse_json(metadata.get("about", "null"))
    return unpack(header, arrays), about if isinstance(about, dict) else {}


def _array(stored: Any, name: str) -> Array:
    wanted, kind = np.dtype(KINDS[name]), stored.get_slice(name).get_dtype()
    if kind != {"float32": "F32", "uint8": "U8"}[wanted.name]:
        raise WeightsError(f"`{name}` must be {wanted.name}, but is {kind:.20}")
    array: Array = stored.get_tensor(name)
    if array.ndim != 1:
        raise WeightsError(f"`{name}` must have one dimension")
    if not np.isfinite(array).all():
        raise WeightsError(f"`{name}` must be finite")
    return array
