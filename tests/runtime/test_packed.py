from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from ir2search.errors import DataError, InputError
from ir2search.runtime import (
    Graph,
    GraphBuilder,
    PackedNetwork,
    load_packed,
    read_packed,
    write_packed,
)
from ir2search.runtime.packed import FORMAT, VERSION, pack, unpack

MUTANTS = 3_000


def tiny() -> Graph:
    """A network with one binary convolution, for 3 x 4 pixels and 2 classes."""
    builder, ones = GraphBuilder((2, 3, 4)), np.ones(2, np.float32)
    value = builder.add("sign", [0])
    bits = np.array([0b10110, 7, 255, 1, 0], np.uint8)
    value = builder.add(
        "binary_conv", [value], "conv", {"weight": bits}, size=3, stride=1, padding=1, outputs=2
    )
    value = builder.add("norm", [value], tensors={"scale": ones, "shift": ones})
    value = builder.add("hardtanh", [value])
    value = builder.add("adaptive_pool", [value], height=1, width=1)
    value = builder.add("flatten", [value])
    head = {"weight": np.eye(2, dtype=np.float32), "bias": ones}
    builder.add("linear", [value], tensors=head, outputs=2)
    return builder.graph()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "tiny.packed"
    write_packed(made, tiny())
    return made


def test_unpack_inverts_pack() -> None:
    graph = tiny()
    header, arrays = pack(graph)
    again = unpack(json.loads(json.dumps(header)), arrays)
    assert again.image == graph.image
    for node, before in zip(again.nodes, graph.nodes, strict=True):
        assert replace(node, tensors={}) == replace(before, tensors={})
        assert node.tensors.keys() == before.tensors.keys()
        for role, tensor in before.tensors.items():
            assert node.tensors[role].dtype == tensor.dtype
            np.testing.assert_array_equal(node.tensors[role], tensor)


def test_a_mutated_file_is_read_or_refused_in_one_sentence(file: Path) -> None:
    """Bytes are changed, removed or repeated; a file that can still be read also runs."""
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    draw = np.random.default_rng(0)
    read, complaints = 0, set()
    for _ in range(MUTANTS):
        file.write_bytes(mutated(whole, draw).tobytes())
        try:
            graph = read_packed(file)
        except InputError as error:
            complaints.add(str(error))
            continue
        read += 1
        if read % 20 == 0:
            height, width, channels = graph.image
            PackedNetwork(graph).logits(np.zeros((1, channels, height, width), np.float32))
    assert read > MUTANTS / 100
    assert len(complaints) > 100
    assert all(said.startswith(str(file)) and "\n" not in said for said in complaints)


def mutated(whole: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    way = draw.integers(4)
    at, other = sorted(draw.integers(0, len(whole), 2))
    if way == 0:
        return whole[:at]
    if way == 1:
        return np.concatenate([whole[:other], whole[at:]])
    changed = whole.copy()
    digits = np.flatnonzero((whole >= ord("0")) & (whole <= ord("9")))
    for _ in range(draw.integers(1, 4)):
        if way == 2:
            changed[draw.choice(digits)] = draw.integers(ord("0"), ord("9") + 1)
        else:
            changed[draw.integers(len(whole))] = draw.integers(256)
    return changed


def deep() -> str:
    return "[" * 100_000


def with_node(number: int, place: int, value: Any) -> str:
    """The graph as JSON, with one part of a node replaced."""
    graph, _ = pack(tiny())
    graph["nodes"][number] += [[]] * (5 - len(graph["nodes"][number]))
    graph["nodes"][number][place] = value
    return json.dumps(graph)


@pytest.mark.parametrize(
    ("graph", "complaint"),
    [
        (deep(), "not a packed network"),
        ("null", "must have `image` and `nodes`"),
        (with_node(1, 2, [0]), "must read a sign"),
        (with_node(1, 2, [-1]), "must be indices of earlier values"),
        (with_node(4, 3, [2**20, 2**20]), "would not fit in memory"),
        (with_node(4, 3, [1e9, 1]), "must be a whole number from 0 to"),
        (with_node(4, 3, [1]), r"node 4: adaptive_pool has numbers \['height', 'width'\]"),
        (with_node(6, 3, [2**20]), "must be 1048576 numbers"),
        (with_node(0, 0, "exec"), "unknown operation 'exec'"),
        (with_node(0, 0, ["exec"]), "unknown operation"),
        (with_node(2, 4, [[2]]), "node 2: norm has tensors"),
        (with_node(2, 4, [[2], None]), "node 2: its tensor `shift` is missing"),
        (with_node(2, 4, [[2], [2**31]]), "`shift` needs more numbers than there"),
        (with_node(2, 4, [[2], [-2]]), "the shape of `shift` must be whole numbers"),
        (with_node(2, 4, [[2], "2"]), "the shape of `shift` must be whole numbers"),
        (with_node(1, 4, [[5]]), "node 1: `weight` must be 2 x 2 x 3 x 3 numbers"),
        (json.dumps({"image": [2, 3, 4], "nodes": [[]]}), "node 0: must be a list of operation"),
        (json.dumps({"image": [2, 3, 4], "nodes": 7}), "`nodes` must be a list"),
        (json.dumps({"image": [2**20, 2**20, 2**20], "nodes": []}), "belong to no node"),
    ],
)
def test_an_invalid_description_is_refused(file: Path, graph: str, complaint: str) -> None:
    _, arrays = pack(tiny())
    file.write_bytes(save(arrays, {"format": FORMAT, "version": VERSION, "graph": graph}))
    with pytest.raises(InputError, match=complaint):
        read_packed(file)


def test_another_version_dtype_or_number_of_values_is_refused(file: Path) -> None:
    graph, arrays = pack(tiny())
    about = {"format": FORMAT, "version": VERSION, "graph": json.dumps(graph)}
    numbers, bits = arrays["numbers"], arrays["bits"]
    cases: list[tuple[dict[str, np.ndarray], dict[str, str], str]] = [
        (arrays, about | {"version": "1"}, "its version is '1', but must be '3'"),
        (arrays, {"format": "pt"}, "not a packed network"),
        (arrays | {"numbers": numbers.astype(np.float64)}, about, "must be float32, but is F64"),
        (arrays | {"bits": bits.astype(np.int8)}, about, "must be uint8, but is I8"),
        (arrays | {"numbers": np.full(14, np.inf, np.float32)}, about, "`numbers` must be finite"),
        (arrays | {"numbers": numbers[None]}, about, "must have one dimension"),
        (arrays | {"numbers": numbers[1:]}, about, "`bias` needs more numbers than there are"),
        (arrays | {"bits": np.append(bits, bits)}, about, "5 of 10 `bits` belong to no node"),
        (arrays | {"z": numbers}, about, "exactly the tensors numbers and bits"),
        ({"bits": bits}, about, "exactly the tensors numbers and bits"),
    ]
    for given, metadata, complaint in cases:
        file.write_bytes(save(given, metadata))
        with pytest.raises(InputError, match=complaint):
            read_packed(file)
    with pytest.raises(InputError, match="no such file"):
        read_packed(file.with_name("none"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda images: images.astype(np.float64), "must be a float32 array, but got float64"),
        (lambda images: images[:, :1], r"must be \(N, 2, 3, 4\), but got"),
        (lambda images: images[0], r"must be \(N, 2, 3, 4\), but got"),
        (lambda images: images[:0], r"but got \(0, 2, 3, 4\)"),
        (lambda images: images * np.float32(np.nan), "but hold NaN or infinity"),
    ],
)
def test_wrong_images_are_refused(
    file: Path, change: Callable[[np.ndarray], np.ndarray], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        load_packed(file).logits(change(np.ones((2, 2, 3, 4), np.float32)))
