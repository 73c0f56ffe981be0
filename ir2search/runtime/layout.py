"""Weights and borders as the loops want them, and what is folded ahead of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir2search.runtime.graph import Array, Node, Shape
from ir2search.runtime.kernels import AROUND, GAPLESS, IN_PLACE, Floats, Ints, Words
from ir2search.runtime.tiles import (
    HARDTANH,
    KNEE,
    LANES,
    NORM,
    POSITIONS,
    PRELU,
    RISE,
    SCALE,
    SHIFT,
    SLOPE,
    THRESHOLD,
    WIDE_LANES,
)

WORD = 64


def words(channels: int) -> int:
    """Words of a position that has so many channels."""
    return -(-channels // WORD)


@dataclass(frozen=True)
class Patches:
    """How a convolution's patches are read, in elements: words of signs, or numbers.

    Attributes:
        laying: what is done to the map first, see `kernels`.
        line: elements of a row of the map then.
        step: from a patch to that of the position beside it.
        row: elements of a patch in a row of the map.
        apart: from one of these to the next.
    """

    laying: int
    line: int
    step: int
    row: int
    apart: int = 1

    def offsets(self, size: int) -> Ints:
        """Where each element of a patch is, from its first."""
        down = np.arange(size)[:, None] * self.line
        return (down + np.arange(self.row) * self.apart).ravel()

    def places(self, node: Node) -> Ints:
        """Where each position's patch begins in the rows of an image, the first one's at 0."""
        rows, columns = (np.arange(side) for side in node.shape[:2])
        down = node.numbers["stride"] * self.line
        return with_more((rows[:, None] * down + columns * self.step).ravel())


def patches(node: Node, source: Shape) -> Patches:
    """How the patches of a convolution of a map lie."""
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    _, width, channels = source
    if node.op == "binary_conv" and channels < WORD:  # or words would be half empty
        row, columns = words(size * channels), node.shape[1]
        return Patches(GAPLESS, columns * row, 1, row, columns)
    pixel = words(channels) if node.op == "binary_conv" else channels
    laying = AROUND if padding else IN_PLACE
    return Patches(laying, (width + 2 * padding) * pixel, stride * pixel, size * pixel)


def bits(node: Node, channels: int) -> NDArray[np.uint8]:
    """Binary weights as 0 and 1, (outputs, kernel rows, kernel columns, channels)."""
    size, outputs = node.numbers["size"], node.numbers["outputs"]
    count = outputs * size * size * channels
    flat = np.unpackbits(node.tensors["weight"], count=count, bitorder="little")
    return flat.reshape(outputs, size, size, channels)


def binary_weights(ones: NDArray[np.uint8]) -> Words:
    """(blocks, words of a patch, outputs of a block), as `kernels.convolve` takes them."""
    outputs, size, _, channels = ones.shape
    rows = ones.reshape(outputs, size, size * channels) if channels < WORD else ones
    return blocks(as_words(rows).reshape(outputs, -1))


def float_weights(node: Node, channels: int) -> Floats:
    """The same of numbers; groups become zeros."""
    outputs, groups = node.numbers["outputs"], node.numbers["groups"]
    own = channels // groups
    weights = node.tensors["weight"]
    if weights.dtype == np.uint8:
        spread = bits(node, own).astype(np.float32) * 2 - 1
    else:
        spread = weights.transpose(0, 2, 3, 1)
    size, each = node.numbers["size"], outputs // groups
    whole = np.zeros((outputs, size, size, channels), np.float32)
    for group in range(groups):
        chosen = slice(group * each, (group + 1) * each)
        whole[chosen, :, :, group * own : (group + 1) * own] = spread[chosen]
    return blocks(whole.reshape(outputs, -1), WIDE_LANES if outputs > LANES else LANES)


def borders(ones: NDArray[np.uint8], node: Node, sides: tuple[int, int]) -> tuple[Ints, Ints]:
    """What sums would be without any difference, and which class of position has which.

    A patch's pixels outside of the map are zeros and add nothing, but their words are 0, so that a
    popcount finds as many differences there as the weights have ones. So the sum of a position is
    its valid pixels' channels, plus twice those ones, minus twice all differences.

    Args:
        ones: see `bits`.
        node: the convolution.
        sides: height and width of its input.

    Returns:
        (classes, outputs), and the class of each position, see `with_more`.
    """
    size, channels = ones.shape[1], ones.shape[3]
    height, width = (
        (_inside(side, row, node)) for side, row in zip(sides, node.shape, strict=False)
    )
    rows, of_row = np.unique(height, axis=0, return_inverse=True)
    columns, of_column = np.unique(width, axis=0, return_inverse=True)
    inside = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(-1, size * size)
    weights = ones.sum(axis=3, dtype=np.int64).reshape(len(ones), size * size)
    sums = channels * inside.sum(axis=1)[:, None] + 2 * (~inside).astype(np.int64) @ weights.T
    classes = of_row.reshape(-1, 1) * len(columns) + of_column.ravel()
    return np.ascontiguousarray(sums, np.int64), with_more(classes.ravel())


def with_more(positions: Ints) -> Ints:
    """The last one again, for as many as a block that begins there reaches beyond it."""
    return np.pad(positions, (0, POSITIONS - 1), mode="edge")


def _inside(side: int, outputs: int, node: Node) -> NDArray[np.bool_]:
    """(outputs, size) whether each pixel of the kernel lies on the map."""
    stride, padding, size = (node.numbers[name] for name in ("stride", "padding", "size"))
    places = np.arange(outputs)[:, None] * stride - padding + np.arange(size)
    found: NDArray[np.bool_] = (places >= 0) & (places < side)
    return found


def limits(vectors: Floats, form: int, least: int, most: int) -> Ints | None:
    """Norm, activation and sign as one comparison of whole numbers, where that is exact.

    Every sum from ``least`` to ``most`` goes through the numbers' own way; where the sign changes
    at most once for each channel, that is where the limit lies.

    Returns:
        (2, channels): d and a limit, the sign being +1 where d * sum >= limit. None where an
        activation goes up and down.
    """
    sums = np.arange(least, most + 1, dtype=np.int64)
    x = sums[:, None].astype(np.float32)
    if form & NORM:
        x = x * vectors[SCALE] + vectors[SHIFT]
    if form & HARDTANH:
        x = np.clip(x, -1, 1)
    elif form & PRELU:
        x = x - vectors[KNEE]
        x = np.where(x > 0, x, x * vectors[SLOPE]) + vectors[RISE]
    up = x >= vectors[THRESHOLD]
    changes = np.count_nonzero(up[1:] != up[:-1], axis=0)
    if (changes > 1).any():
        return None
    falls = up[0] & ~up[-1]
    first = np.where(up.any(axis=0), sums[up.argmax(axis=0)], most + 1)
    last = sums[len(sums) - 1 - up[::-1].argmax(axis=0)]
    return np.stack([np.where(falls, -1, 1), np.where(falls, -last, first)]).astype(np.int64)


def padded(rows: Ints) -> NDArray[np.int32]:
    """Rows of a number for each output, with zeros up to whole blocks."""
    outputs = rows.shape[1]
    return np.pad(rows, ((0, 0), (0, -outputs % LANES))).astype(np.int32)


def all_windows(node: Node, source: Shape) -> Ints:
    """(2, rows + columns): where the rows' windows begin and end, then the columns'."""
    pairs = zip(source[:2], node.shape[:2], strict=True)
    return np.concatenate([windows(node, *pair) for pair in pairs], axis=1)


def windows(node: Node, side: int, outputs: int) -> Ints:
    """(2, outputs): where windows begin and end along one axis, within the map."""
    places = np.arange(outputs, dtype=np.int64)
    if node.op == "adaptive_pool":
        return np.stack([places * side // outputs, -(-(places + 1) * side // outputs)])
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    begin = places * stride - padding
    return np.stack([begin.clip(0), (begin + size).clip(max=side)])


def as_words(ones: NDArray[np.uint8]) -> Words:
    """Bits along the last axis as words, zeros after the last."""
    count = words(ones.shape[-1])
    padded = np.zeros((*ones.shape[:-1], count * WORD), np.uint8)
    padded[..., : ones.shape[-1]] = ones
    packed: Array = np.packbits(padded, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64)


def blocks(rows: Array, size: int = LANES) -> Array:
    """(outputs, depth) to (blocks, depth, outputs of a block), zeros after the last output."""
    outputs, depth = rows.shape
    whole = np.pad(rows, ((0, -outputs % size), (0, 0)))
    return np.ascontiguousarray(whole.reshape(-1, size, depth).transpose(0, 2, 1))
