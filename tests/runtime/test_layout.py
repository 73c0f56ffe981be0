"""Layouts against brute force and torch."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from ir2search.runtime import Node, frame, layout


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
    outputs, channels = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    weights = generator.integers(0, 2, (outputs, size, size, channels))
    return convolution(size, stride, padding, sides, weights), weights, sides


@given(convolutions())
def test_bits_are_read_back(case: tuple[Node, np.ndarray, tuple[int, int]]) -> None:
    node, weights, _ = case
    np.testing.assert_array_equal(layout.bits(node, weights.shape[3]), weights)


@given(convolutions())
def test_borders_are_the_sums_of_inputs_equal_to_the_weights(
    case: tuple[Node, np.ndarray, tuple[int, int]],
) -> None:
    """Inputs equal the weights inside the map; outside they are 0 and differ from weights of 1."""
    node, weights, sides = case
    sums, classes = layout.borders(weights.astype(np.uint8), node, sides)
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
        assert sums[classes[row * columns + column], output] == expected


@given(st.integers(1, 3), st.integers(1, 3), st.integers(65, 70))
def test_patches_of_a_padded_map_are_those_of_torch(size: int, stride: int, channels: int) -> None:
    padding, sides = size // 2, (5, 4)
    weights = np.zeros((1, size, size, channels), np.uint8)
    binary = convolution(size, stride, padding, sides, weights)
    node = Node("conv", (0,), {**binary.numbers, "groups": 1}, {}, binary.shape, "conv")
    patches = layout.patches(node, (*sides, channels))
    image = torch.arange(sides[0] * sides[1] * channels).reshape(*sides, channels)
    padded = functional.pad(image, (0, 0, padding, padding, padding, padding)).flatten().numpy()
    count = node.shape[0] * node.shape[1]
    found = padded[patches.places(node)[:count, None] + patches.offsets(size)]
    unfolded = functional.unfold(
        image.permute(2, 0, 1)[None].double(), size, padding=padding, stride=stride
    )
    expected = unfolded[0].T.reshape(count, channels, size, size).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(found, expected.reshape(count, -1).numpy())


@given(st.integers(1, 200), st.integers(0, 2**16))
def test_words_hold_channel_64j_plus_i_in_bit_i_of_word_j(channels: int, seed: int) -> None:
    ones = np.random.default_rng(seed).integers(0, 2, channels).astype(np.uint8)
    words = [int(word) for word in layout.as_words(ones)]
    assert len(words) == layout.words(channels)
    bits = [words[i // 64] >> (i % 64) & 1 for i in range(64 * len(words))]
    assert bits == [*ones, *[0] * (64 * len(words) - channels)]


@given(st.integers(1, 40), st.integers(0, 2**16), st.sampled_from(["none", "hardtanh", "prelu"]))
def test_limits_give_the_sign_of_every_sum(most: int, seed: int, activation: str) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((frame.VECTOR_ROWS, 5)).astype(np.float32)
    vectors[frame.SCALE] *= 0.1
    flag = {"none": 0, "hardtanh": frame.HAS_HARDTANH, "prelu": frame.HAS_PRELU}[activation]
    limits = layout.limits(vectors, frame.HAS_NORM | flag, -most, most)
    sums = np.arange(-most, most + 1)[:, None].astype(np.float32)
    x = sums * vectors[frame.SCALE] + vectors[frame.SHIFT]
    if activation == "hardtanh":
        x = x.clip(-1, 1)
    elif activation == "prelu":
        x = x - vectors[frame.KNEE]
        x = np.where(x > 0, x, x * vectors[frame.SLOPE]) + vectors[frame.RISE]
    expected = x >= vectors[frame.THRESHOLD]
    if limits is None:
        changes = (expected[1:] != expected[:-1]).sum(axis=0)
        assert changes.max() > 1
        assert activation == "prelu"
        assert vectors[frame.SLOPE].min() < 0
    else:
        np.testing.assert_array_equal(limits[0] * sums.astype(int) >= limits[1], expected)


@given(st.integers(1, 12), st.integers(1, 12))
def test_adaptive_windows_are_those_of_torch(side: int, outputs: int) -> None:
    node = Node("adaptive_pool", (0,), {}, {}, (outputs, 1, 1), "pool")
    starts, ends = layout.windows(node, side, outputs)
    values = torch.arange(side, dtype=torch.float64)
    means = [values[start:end].mean() for start, end in zip(starts, ends, strict=True)]
    expected = functional.adaptive_avg_pool1d(values[None], outputs)[0]
    torch.testing.assert_close(torch.stack(means), expected)


def test_weights_are_zero_for_inputs_of_other_groups() -> None:
    weights = np.ones((4, 1, 1, 1), np.float32)
    numbers = {"size": 1, "stride": 1, "padding": 0, "outputs": 4, "groups": 2}
    node = Node("conv", (0,), numbers, {"weight": weights}, (3, 3, 4), "conv")
    (block,) = layout.float_weights(node, 2)
    np.testing.assert_array_equal(block[:, :4].T, [[1, 0], [1, 0], [0, 1], [0, 1]])
    assert block.shape == (2, frame.LANES)
