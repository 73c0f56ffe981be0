"""Compute weights, borders and limits in the form that the compiled loops read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir2search.runtime import frame
from ir2search.runtime.frame import LANES, POSITIONS, WIDE_LANES, Floats, Ints, Words
from ir2search.runtime.graph import Array, Node, Shape

WORD = 64  # bits


def words(channels: int) -> int:
    """Number of words that the signs of a position take."""
    return -(-channels // WORD)


@dataclass(frozen=True)
class Patches:
    """The layout of a convolution's patches. An element is a word of signs, or a number.

    Attributes:
        row_layout: how the rows of the map are copied first, see `frame`.
        line: elements of a copied row.
        step: elements from a patch to the patch of the next column.
        row: elements of a patch in one row.
        apart: the distance between these elements.
    """

    row_layout: int
    line: int
    step: int
    row: int
    apart: int = 1

    def offsets(self, size: int) -> Ints:
        """Distance of each element of a patch from the first, for a kernel of this size."""
        down = np.arange(size)[:, None] * self.line
        return (down + np.arange(self.row) * self.apart).ravel()

    def places(self, node: Node) -> Ints:
        """Start of the patch of each position in the rows of an image, see `with_more`."""
        rows, columns = (np.arange(side) for side in node.shape[:2])
        down = node.numbers["stride"] * self.line
        return with_more((rows[:, None] * down + columns * self.step).ravel())


def patches(node: Node, source: Shape) -> Patches:
    """The layout of the patches of a convolution; ``source`` is the shape of its input."""
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    _, width, channels = source
    if node.op == "binary_conv" and channels < WORD:  # else many bits of a word would be unused
        row, columns = words(size * channels), node.shape[1]
        return Patches(frame.DENSE, columns * row, 1, row, columns)
    pixel = words(channels) if node.op == "binary_conv" else channels
    row_layout = frame.PADDED if padding else frame.IN_PLACE
    return Patches(row_layout, (width + 2 * padding) * pixel, stride * pixel, size * pixel)


def bits(node: Node, channels: int) -> NDArray[np.uint8]:
    """Binary weights as 0 and 1, (outputs, kernel rows, kernel columns, channels)."""
    size, outputs = node.numbers["size"], node.numbers["outputs"]
    count = outputs * size * size * channels
    flat = np.unpackbits(node.tensors["weight"], count=count, bitorder="little")
    return flat.reshape(outputs, size, size, channels)


def binary_weights(ones: NDArray[np.uint8]) -> Words:
    """Weights of `bits` as (blocks, words of a patch, outputs of a block)."""
    outputs, size, _, channels = ones.shape
    rows = ones.reshape(outputs, size, size * channels) if channels < WORD else ones
    return blocks(as_words(rows).reshape(outputs, -1))


def float_weights(node: Node, channels: int) -> Floats:
    """Weights as (blocks, numbers of a patch, outputs of a block), 0 for inputs of other groups."""
    outputs, groups = node.numbers["outputs"], node.numbers["groups"]
    own = channels // groups
    weights = node.tensors["weight"]
    if weights.dtype == np.uint8:
        kernels = bits(node, own).astype(np.float32) * 2 - 1
    else:
        kernels = weights.transpose(0, 2, 3, 1)
    size, each = node.numbers["size"], outputs // groups
    whole = np.zeros((outputs, size, size, channels), np.float32)
    for group in range(groups):
        chosen = slice(group * each, (group + 1) * each)
        whole[chosen, :, :, group * own : (group + 1) * own] = kernels[chosen]
    return blocks(whole.reshape(outputs, -1), WIDE_LANES if outputs > LANES else LANES)


def borders(ones: NDArray[np.uint8], node: Node, sides: tuple[int, int]) -> tuple[Ints, Ints]:
    """The sums of a binary convolution if no sign differed, for each class of positions.

    A patch has p pixels inside the map. Pixels outside the map must add nothing to the sum, but
    their words are 0, and each weight +1 there counts as a difference; let z be the number of these
    weights. With d differences in all, the sum is p * channels + 2 z - 2 d. Positions with the same
    pixels inside the map form a class.

    Args:
        ones: the weights, see `bits`.
        node: the convolution.
        sides: height and width of its input.

    Returns:
        p * channels + 2 z as (classes, outputs), and the class of each position, see `with_more`.
    """
    size, channels = ones.shape[1], ones.shape[3]
    height, width = (
        _inside(side, outputs, node) for side, outputs in zip(sides, node.shape, strict=False)
    )
    rows, of_row = np.unique(height, axis=0, return_inverse=True)
    columns, of_column = np.unique(width, axis=0, return_inverse=True)
    inside = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(-1, size * size)
    weights = ones.sum(axis=3, dtype=np.int64).reshape(len(ones), size * size)
    sums = channels * inside.sum(axis=1)[:, None] + 2 * (~inside).astype(np.int64) @ weights.T
    classes = of_row.reshape(-1, 1) * len(columns) + of_column.ravel()
    return np.ascontiguousarray(sums, np.int64), with_more(classes.ravel())


def with_more(positions: Ints) -> Ints:
    """Repeat the last position: the last block of positions can reach beyond the image."""
    return np.pad(positions, (0, POSITIONS - 1), mode="edge")


def _inside(side: int, outputs: int, node: Node) -> NDArray[np.bool_]:
    """(outputs, size): whether each pixel of the kernel lies inside the map, along one axis."""
    stride, padding, size = (node.numbers[name] for name in ("stride", "padding", "size"))
    places = np.arange(outputs)[:, None] * stride - padding + np.arange(size)
    found: NDArray[np.bool_] = (places >= 0) & (places < side)
    return found


def limits(vectors: Floats, form: int, least: int, most: int) -> Ints | None:
    """Replace norm, activation and sign by one exact comparison of whole numbers.

    Compute the steps in float32 for every sum from ``least`` to ``most``. The limit is the sum at
    which the sign changes.

    Args:
        vectors: (rows, channels), see `frame`.
        form: the steps, a sum of flags of `frame`.
        least: the smallest sum.
        most: the largest sum.

    Returns:
        (2, channels): direction d and a limit; the sign is +1 if d * sum >= limit. None if the sign
        changes more than once in some channel.
    """
    sums = np.arange(least, most + 1, dtype=np.int64)
    x = sums[:, None].astype(np.float32)
    if form & frame.HAS_NORM:
        x = x * vectors[frame.SCALE] + vectors[frame.SHIFT]
    if form & frame.HAS_HARDTANH:
        x = np.clip(x, -1, 1)
    elif form & frame.HAS_PRELU:
        x = x - vectors[frame.KNEE]
        x = np.where(x > 0, x, x * vectors[frame.SLOPE]) + vectors[frame.RISE]
    up = x >= vectors[frame.THRESHOLD]
    changes = np.count_nonzero(up[1:] != up[:-1], axis=0)
    if (changes > 1).any():
        return None
    falls = up[0] & ~up[-1]
    first = np.where(up.any(axis=0), sums[up.argmax(axis=0)], most + 1)
    last = sums[len(sums) - 1 - up[::-1].argmax(axis=0)]
    return np.stack([np.where(falls, -1, 1), np.where(falls, -last, first)]).astype(np.int64)


def padded(rows: Ints) -> NDArray[np.int32]:
    """Rows of numbers by output, padded with zeros to whole blocks."""
    outputs = rows.shape[1]
    return np.pad(rows, ((0, 0), (0, -outputs % LANES))).astype(np.int32)


def all_windows(node: Node, source: Shape) -> Ints:
    """(2, rows + columns): starts and ends of the windows along rows, then along columns."""
    pairs = zip(source[:2], node.shape[:2], strict=True)
    return np.concatenate([windows(node, *pair) for pair in pairs], axis=1)


def windows(node: Node, side: int, outputs: int) -> Ints:
    """(2, outputs): starts and ends of windows along one axis, clipped to the map."""
    places = np.arange(outputs, dtype=np.int64)
    if node.op == "adaptive_pool":
        return np.stack([places * side // outputs, -(-(places + 1) * side // outputs)])
    size, stride, padding = (node.numbers[name] for name in ("size", "stride", "padding"))
    begin = places * stride - padding
    return np.stack([begin.clip(0), (begin + size).clip(max=side)])


def as_words(ones: NDArray[np.uint8]) -> Words:
    """Pack 0 and 1 along the last axis into words, padded with zeros."""
    count = words(ones.shape[-1])
    whole = np.zeros((*ones.shape[:-1], count * WORD), np.uint8)
    whole[..., : ones.shape[-1]] = ones
    packed: Array = np.packbits(whole, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64)


def blocks(rows: Array, size: int = LANES) -> Array:
    """(outputs, depth) to (blocks, depth, outputs of a block), padded with zeros."""
    outputs, depth = rows.shape
    whole = np.pad(rows, ((0, -outputs % size), (0, 0)))
    return np.ascontiguousarray(whole.reshape(-1, size, depth).transpose(0, 2, 1))
