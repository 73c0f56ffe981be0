"""Layouts of weights against brute force."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ir2search.runtime import Node
from ir2search.runtime.weights import borders, float_weights, in_blocks, sign_words, stored_bits


def convolution(
    size: int, stride: int, padding: int, sides: tuple[int, int], weights: np.ndarray
) -> Node:
    """A binary convolution with weights (outputs, size, size, channels) of 0 and 1."""
    rows, columns = ((side + 2 * padding - size) // stride + 1 for side in sides)
    numbers = {"size": size, "stride": stride, "padding": padding, "outputs": len(weights)}
    bits = np.packbits(weights.astype(np.uint8).ravel(), bitorder="little")
    shape = (rows, columns, len(weights))
    return Node("binary_conv", (1,), numbers, {"weight": bits}, shape, "conv")


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Node, np.ndarray, tuple[int, int]]:
    size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, size - 1))
    sides = tuple(draw(st.integers(max(1, size - 2 * padding), 7)) for _ in range(2))
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    outputs, channels = draw(st.integers(1, 4)), draw(st.integers(1, 20))
    weights = generator.integers(0, 2, (outputs, size, size, channels))
    return convolution(size, stride, padding, sides, weights), weights, sides


@given(convolutions())
def test_bits_are_read_back(case: tuple[Node, np.ndarray, tuple[int, int]]) -> None:
    node, weights, _ = case
    np.testing.assert_array_equal(stored_bits(node, weights.shape[3]), weights)


@given(convolutions())
def test_borders_are_the_sums_of_inputs_equal_to_the_weights(
    case: tuple[Node, np.ndarray, tuple[int, int]],
) -> None:
    """Inputs equal the weights inside the map; outside they are 0 and differ from weights of 1."""
    node, weights, sides = case
    found = borders(weights.astype(np.uint8), node, sides)
    rows, columns, outputs = node.shape
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    for row, column, output in itertools.product(range(rows), range(columns), range(outputs)):
        expected = 0
        for y, x in itertools.product(range(size), range(size)):
            top, left = row * stride - padding + y, column * stride - padding + x
            if 0 <= top < sides[0] and 0 <= left < sides[1]:
                expected += weights.shape[3]
            else:
                expected += 2 * weights[output, y, x].sum()
        kind = found.row_kind[row], found.column_kind[column]
        assert found.sums[*kind, output] == expected


@given(convolutions(), st.sampled_from([1, 16]))
def test_a_word_holds_the_bits_of_a_row_in_order(
    case: tuple[Node, np.ndarray, tuple[int, int]], lanes: int
) -> None:
    """A pixel starts at a whole byte, a row of the kernel at a whole word."""
    _, weights, _ = case
    outputs, size, _, channels = weights.shape
    words = sign_words(weights.astype(np.uint8), lanes)
    pixel = -(-channels // 8) * 8
    row = -(-size * pixel // 32)
    assert words.shape == (-(-outputs // lanes), size * row, lanes)
    ones = 0
    for output, y, x, channel in np.argwhere(weights):
        bit = x * pixel + channel
        word = words[output // lanes, y * row + bit // 32, output % lanes]
        assert int(word) >> (bit % 32) & 1
        ones += 1
    assert sum(int(word).bit_count() for word in words.ravel()) == ones


def test_weights_are_zero_for_inputs_of_other_groups() -> None:
    weights = np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1, 1)
    numbers = {"size": 1, "stride": 1, "padding": 0, "outputs": 4, "groups": 2}
    node = Node("conv", (0,), numbers, {"weight": weights}, (3, 3, 4), "conv")
    found = float_weights(node, 2, whole=True)
    np.testing.assert_array_equal(found, [[1, 0], [2, 0], [0, 3], [0, 4]])
    np.testing.assert_array_equal(float_weights(node, 2, whole=False).ravel(), [1, 2, 3, 4])
    assert in_blocks(found, 16).shape == (1, 2, 16)
