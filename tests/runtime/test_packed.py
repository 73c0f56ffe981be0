from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from ir2search.errors import DataError, InputError
from ir2search.runtime import PackedNetwork, load_packed, read_packed, write_packed
from ir2search.runtime.packed import FORMAT, VERSION, pack, unpack

MUTANTS = 10_000


def tiny() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A network with one binary convolution, for 3 x 4 pixels and 2 classes."""
    nodes: list[dict[str, Any]] = [
        {"op": "sign", "inputs": [0]},
        {
            "op": "binary_conv", "inputs": [1], "tensors": {"weight": "w"},
            "numbers": {"size": 3, "stride": 1, "padding": 1, "outputs": 2},
        },
        {
            "op": "norm", "inputs": [2], "tensors": {"scale": "a", "shift": "b"},
        },
        {"op": "hardtanh", "inputs": [3]},
        {"op": "adaptive_pool", "inputs": [4], "numbers": {"height": 1, "width": 1}},
        {"op": "flatten", "inputs": [5]},
        {
            "op": "linear", "inputs": [6], "numbers": {"outputs": 2},
            "tensors": {"weight": "l", "bias": "c"},
        },
    ]  # fmt: skip
    ones = np.ones(2, np.float32)
    tensors = {
        "w": np.array([0b10110, 7, 255, 1, 0], np.uint8), "l": np.eye(2, dtype=np.float32),
        "a": ones, "b": ones, "c": ones,
    }  # fmt: skip
    return {"image": [2, 3, 4], "nodes": nodes}, tensors


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "tiny.packed"
    write_packed(made, *tiny())
    return made


def test_unpack_inverts_pack(file: Path) -> None:
    description, tensors = tiny()
    graph, arrays = pack(description, tensors)
    again, roles = unpack(json.loads(json.dumps(graph)), arrays)
    assert again["image"] == description["image"]
    for node, before in zip(again["nodes"], description["nodes"], strict=True):
        assert (node["op"], node["inputs"]) == (before["op"], before["inputs"])
        assert node["numbers"] == before.get("numbers", {})
        assert node["tensors"].keys() == before.get("tensors", {}).keys()
        for role, name in before.get("tensors", {}).items():
            found = roles[node["tensors"][role]]
            assert found.dtype == tensors[name].dtype
            np.testing.assert_array_equal(found, tensors[name])


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
    graph, _ = pack(*tiny())
    graph["nodes"][number] += [[]] * (5 - len(graph["nodes"][number]))
    graph["nodes"][number][place] = value
    return json.dumps(graph)


@pytest.mark.parametrize(
    ("graph", "complaint"),
    [
        (deep(), "not a packed network"),
        ("null", "must have `image` and a list `nodes`"),
        (with_node(1, 2, [0]), "must read a sign"),
        (with_node(1, 2, [-1]), "must be the numbers of earlier values"),
        (with_node(4, 3, [2**20, 2**20]), "would not fit in memory"),
        (with_node(4, 3, [1e9, 1]), "must be a number in range"),
        (with_node(4, 3, [1]), r"node 4: adaptive_pool has numbers \['height', 'width'\]"),
        (with_node(6, 3, [2**20]), "must be 1048576 numbers"),
        (with_node(0, 0, "exec"), "unknown operation 'exec'"),
        (with_node(0, 0, ["exec"]), "unknown operation"),
        (with_node(2, 4, [[2]]), "node 2: norm has tensors"),
        (with_node(2, 4, [[2], None]), "2 of 10 `numbers` belong to no node"),
        (with_node(2, 4, [[2], [2**31]]), "`shift` needs more numbers than there"),
        (with_node(2, 4, [[2], [-2]]), "the shape of `shift` must be whole numbers"),
        (with_node(2, 4, [[2], "2"]), "the shape of `shift` must be whole numbers"),
        (with_node(1, 4, [[5]]), "node 6: `weight` needs more numbers"),
        (json.dumps({"image": [2, 3, 4], "nodes": [[]]}), "node 0: must be a list of operation"),
        (json.dumps({"image": [2, 3, 4], "nodes": 7}), "and a list `nodes`"),
        (json.dumps({"image": [2**20, 2**20, 2**20], "nodes": []}), "belong to no node"),
    ],
)
def test_an_invalid_description_is_refused(file: Path, graph: str, complaint: str) -> None:
    _, arrays = pack(*tiny())
    file.write_bytes(save(arrays, {"format": FORMAT, "version": VERSION, "graph": graph}))
    with pytest.raises(InputError, match=complaint):
        read_packed(file)


def test_another_version_dtype_or_number_of_values_is_refused(file: Path) -> None:
    graph, arrays = pack(*tiny())
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
