from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from ir2search.engine import PackedNetwork, load_packed, read_packed, write_packed
from ir2search.engine.packed import FORMAT, VERSION
from ir2search.errors import DataError, InputError

MUTANTS = 10_000


def tiny() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A whole network of one binary convolution, 3 x 4 pixels, 2 classes."""
    nodes: list[dict[str, Any]] = [
        {"op": "sign", "inputs": [0]},
        {
            "op": "binary_conv", "inputs": [1], "tensors": {"weight": "w"},
            "numbers": {"size": 3, "stride": 1, "padding": 1, "outputs": 2},
        },
        {
            "op": "norm", "inputs": [2], "numbers": {"eps": 1e-5},
            "tensors": {"weight": "a", "bias": "b", "mean": "m", "variance": "v"},
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
        "a": ones, "b": ones, "m": ones, "v": ones, "c": ones,
    }  # fmt: skip
    return {"image": [2, 3, 4], "nodes": nodes}, tensors


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "tiny.packed"
    write_packed(made, *tiny())
    return made


def test_a_mutated_file_is_read_or_refused_in_one_sentence(file: Path) -> None:
    """Bytes changed, cut, doubled or swapped; what still reads, runs without a fault."""
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


def with_node(number: int, **values: Any) -> str:
    description, _ = tiny()
    description["nodes"][number] |= values
    return json.dumps(description)


@pytest.mark.parametrize(
    ("graph", "complaint"),
    [
        (deep(), "no packed network"),
        ("null", "must have `image` and `nodes`"),
        (with_node(1, inputs=[0]), "takes what is no sign"),
        (with_node(1, inputs=[-1]), "numbers of earlier values"),
        (with_node(4, numbers={"height": 2**20, "width": 2**20}), "would not fit in memory"),
        (with_node(4, numbers={"height": 1e9, "width": 1}), "must be a number in range"),
        (with_node(6, numbers={"outputs": 2**20}), "must be 1048576 numbers"),
        (with_node(0, op="exec"), "unknown operation 'exec'"),
        (with_node(2, tensors={"weight": "w"}), "no tensor 'w' left"),
        (json.dumps({"image": [2**20, 2**20, 2**20], "nodes": []}), "`nodes` must be a list"),
    ],
)
def test_hostile_descriptions_are_refused(file: Path, graph: str, complaint: str) -> None:
    _, tensors = tiny()
    file.write_bytes(save(tensors, {"format": FORMAT, "version": VERSION, "graph": graph}))
    with pytest.raises(InputError, match=complaint):
        read_packed(file)


def test_other_versions_dtypes_and_numbers_are_refused(file: Path) -> None:
    description, tensors = tiny()
    about = {"format": FORMAT, "version": VERSION, "graph": json.dumps(description)}
    cases: list[tuple[dict[str, np.ndarray], dict[str, str], str]] = [
        (tensors, about | {"version": "2"}, "of version '2', but this program reads 1"),
        (tensors, {"format": "pt"}, "not a packed network"),
        (tensors | {"a": np.ones(2)}, about, "must be F32 or U8, but is F64"),
        (tensors | {"a": np.array([1, np.nan], np.float32)}, about, "what is not finite"),
        (tensors | {"z": np.ones(2, np.float32)}, about, "'z' belongs to no node"),
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
        (lambda images: images * np.float32(np.nan), "hold NaN or infinity"),
    ],
)
def test_wrong_images_are_refused(
    file: Path, change: Callable[[np.ndarray], np.ndarray], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        load_packed(file).logits(change(np.ones((2, 2, 3, 4), np.float32)))
