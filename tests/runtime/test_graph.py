from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from ir2search.errors import WeightsError
from ir2search.runtime import Graph, GraphBuilder

WINDOW = {"size": 3, "stride": 2, "padding": 1}


def numbers(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def graph_of(
    op: str,
    given: dict[str, int] | None = None,
    tensors: dict[str, np.ndarray] | None = None,
    inputs: Sequence[int] = (0,),
) -> Graph:
    """A network of an image of 4 channels and 7 x 5 pixels, with one operation before its head."""
    builder = GraphBuilder((4, 7, 5))
    value = builder.add(op, inputs, tensors=tensors, **(given or {}))
    value = builder.add("adaptive_pool", [value], height=1, width=1)
    value = builder.add("flatten", [value])
    head = {"weight": numbers(2, builder.shape(value)[0]), "bias": numbers(2)}
    builder.add("linear", [value], tensors=head, outputs=2)
    return builder.graph()


@pytest.mark.parametrize(
    ("op", "given", "tensors", "shape"),
    [
        ("sign", {}, {"threshold": numbers(4)}, (7, 5, 4)),
        ("norm", {}, {"scale": numbers(4), "shift": numbers(4)}, (7, 5, 4)),
        ("hardtanh", {}, {}, (7, 5, 4)),
        ("int8", {"steps": 32}, {}, (7, 5, 4)),
        ("shuffle", {"groups": 2}, {}, (7, 5, 4)),
        ("max_pool", WINDOW | {"ceil": 0}, {}, (4, 3, 4)),
        ("avg_pool", WINDOW | {"padding": 0, "ceil": 1}, {}, (3, 2, 4)),
        ("conv", WINDOW | {"outputs": 4, "groups": 2}, {"weight": numbers(4, 2, 3, 3)}, (4, 3, 4)),
        ("subsample", {"stride": 2, "before": 0, "outputs": 4}, {}, (4, 3, 4)),
        ("cut", {"outputs": 4}, {}, (7, 5, 4)),
    ],
)
def test_shapes_follow_from_the_operation(
    op: str, given: dict[str, int], tensors: dict[str, np.ndarray], shape: tuple[int, ...]
) -> None:
    graph = graph_of(op, given, tensors)
    assert graph.shape(0) == (7, 5, 4)
    assert graph.shape(1) == graph.nodes[0].shape == shape
    assert graph.classes == 2
    assert graph.consumers == [[0], [1], [2], [3], []]


@pytest.mark.parametrize(
    ("op", "given", "tensors", "complaint"),
    [
        ("shuffle", {"groups": 3}, {}, "`groups` must divide the channels"),
        ("int8", {"steps": 0}, {}, "`steps` must be at least 1"),
        ("norm", {}, {"scale": numbers(4)}, "its tensor `shift` is missing"),
        ("norm", {}, {"scale": numbers(3), "shift": numbers(4)}, "`scale` must be 4 numbers"),
        ("hardtanh", {"high": 1}, {}, "hardtanh has numbers []"),
        ("hardtanh", {}, {"slope": numbers(4)}, "hardtanh has no tensor 'slope'"),
        ("max_pool", WINDOW | {"size": 65, "ceil": 0}, {}, "its window is out of range"),
        ("max_pool", WINDOW | {"ceil": 1}, {}, "`ceil` must be 0 if there is padding"),
        ("avg_pool", {"size": 9, "stride": 1, "padding": 0, "ceil": 0}, {}, "would be empty"),
        ("conv", WINDOW | {"outputs": 4, "groups": 3}, {}, "`groups` must divide the channels"),
        ("conv", WINDOW | {"outputs": 4, "groups": 1}, {}, "its tensor `weight` is missing"),
        ("cut", {"outputs": 5}, {}, "`outputs` must be at most the number of channels"),
        ("subsample", {"stride": 1, "before": 2, "outputs": 5}, {}, "must have room for its"),
        ("cut", {"outputs": -1}, {}, "`outputs` must be a whole number from 0"),
        ("linear", {"outputs": 2}, {}, "must read a flat value"),
        ("add", {}, {}, "add cannot have 1 inputs"),
        ("binary_conv", WINDOW | {"outputs": 4}, {"weight": np.zeros(18, np.uint8)}, "must read a"),
    ],
)
def test_an_invalid_node_is_refused_with_its_rule(
    op: str, given: dict[str, int], tensors: dict[str, np.ndarray], complaint: str
) -> None:
    with pytest.raises(WeightsError, match=re.escape(complaint)):
        graph_of(op, given, tensors)


def test_a_map_is_added_to_one_of_the_same_shape() -> None:
    assert graph_of("add", inputs=(0, 0)).shape(1) == (7, 5, 4)


def test_the_last_operation_must_give_logits() -> None:
    builder = GraphBuilder((4, 7, 5))
    with pytest.raises(WeightsError, match="the last node must be linear"):
        builder.graph()
    builder.add("hardtanh", [0])
    with pytest.raises(WeightsError, match="the last node must be linear"):
        builder.graph()


def test_an_image_is_three_whole_numbers() -> None:
    for image in ((3, 8), (0, 8, 8), (3, 8, 2**21)):
        with pytest.raises(WeightsError, match="`image` must be three whole numbers"):
            GraphBuilder(image)


@pytest.mark.parametrize(
    ("op", "reads", "count", "complaint"),
    [
        ("hardtanh", 1, 10_000, "node 10000: there may be at most 10,000 nodes"),
        ("concat", 1000, 50, "node 50: all nodes may read at most 50,000 values"),
    ],
)
def test_the_number_of_nodes_and_of_values_they_read_is_limited(
    op: str, reads: int, count: int, complaint: str
) -> None:
    builder = GraphBuilder((1, 1, 1))
    for _ in range(count):
        builder.add(op, [0] * reads)
    with pytest.raises(WeightsError, match=complaint):
        builder.add(op, [0] * reads)
