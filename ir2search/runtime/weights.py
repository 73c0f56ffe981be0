"""Weights and borders of convolutions in the form that the C runtime reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir2search.runtime.graph import Array, Node

WORD = 32  # bits
BYTE = 8  # bits; a pixel of a map of signs starts at a whole byte

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def sign_bytes(channels: int) -> int:
    """Bytes of a pixel of a map of signs."""
    return -(-channels // BYTE)


def stored_bits(node: Node, channels: int) -> NDArray[np.uint8]:
    """Binary weights as 0 and 1, (outputs, kernel rows, kernel columns, channels)."""
    size, outputs = node.numbers["size"], node.numbers["outputs"]
    count = outputs * size * size * channels
    flat = np.unpackbits(node.tensors["weight"], count=count, bitorder="little")
    return flat.reshape(outputs, size, size, channels)


def sign_words(ones: NDArray[np.uint8], lanes: int) -> NDArray[np.uint32]:
    """Weights of `stored_bits` as (blocks, words of a patch, outputs of a block).

    A row of a patch has its pixels one after the other, each of whole bytes, and then zeros up to a
    whole word.
    """
    outputs, size, _, channels = ones.shape
    pixel = sign_bytes(channels) * BYTE
    row = -(-size * pixel // WORD) * WORD
    whole = np.zeros((outputs, size, row), np.uint8)
    spread = np.zeros((outputs, size, size, pixel), np.uint8)
    spread[..., :channels] = ones
    whole[..., : size * pixel] = spread.reshape(outputs, size, -1)
    packed: Array = np.packbits(whole, axis=-1, bitorder="little")
    words = np.ascontiguousarray(packed).view("<u4").astype(np.uint32)
    return in_blocks(words.reshape(outputs, -1), lanes)


def float_weights(node: Node, channels: int, *, whole: bool) -> Floats:
    """Weights of a full-precision convolution, (outputs, numbers of a patch).

    Args:
        node: the convolution; its weights are numbers or bits.
        channels: channels of its input.
        whole: whether a patch has all channels of the input, with weight 0 for inputs of other
            groups; or else only those of its group.
    """
    outputs, groups, size = (node.numbers[name] for name in ("outputs", "groups", "size"))
    own = channels // groups
    weights = node.tensors["weight"]
    if weights.dtype == np.uint8:
        kernels = stored_bits(node, own).astype(np.float32) * 2 - 1
    else:
        kernels = weights.transpose(0, 2, 3, 1)
    if not whole or groups == 1:
        return np.ascontiguousarray(kernels, np.float32).reshape(outputs, -1)
    each = outputs // groups
    spread = np.zeros((outputs, size, size, channels), np.float32)
    for group in range(groups):
        chosen = slice(group * each, (group + 1) * each)
        spread[chosen, :, :, group * own : (group + 1) * own] = kernels[chosen]
    return spread.reshape(outputs, -1)


@dataclass(frozen=True)
class Borders:
    """The sums of a binary convolution if no sign differed, by kind of position.

    Attributes:
        sums: (kinds of rows, kinds of columns, outputs).
        row_kind: (rows), the kind of each output row.
        column_kind: (columns), the kind of each output column.
    """

    sums: Ints
    row_kind: NDArray[np.uint8]
    column_kind: NDArray[np.uint8]


def borders(ones: NDArray[np.uint8], node: Node, sides: tuple[int, int]) -> Borders:
    """The sums of a binary convolution if no sign differed.

    A patch has p pixels inside the map. Pixels outside the map must add nothing to the sum, but
    their bits are 0, and each weight +1 there counts as a difference; let z be the number of these
    weights. With d differences in all, the sum is p * channels + 2 z - 2 d. Rows with the same
    pixels inside the map are of one kind, and columns too.

    Args:
        ones: the weights, see `stored_bits`.
        node: the convolution.
        sides: height and width of its input.
    """
    size, channels = ones.shape[1], ones.shape[3]
    height, width = (
        _inside(side, outputs, node) for side, outputs in zip(sides, node.shape, strict=False)
    )
    rows, row_kind = np.unique(height, axis=0, return_inverse=True)
    columns, column_kind = np.unique(width, axis=0, return_inverse=True)
    inside = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(-1, size * size)
    weights = ones.sum(axis=3, dtype=np.int64).reshape(len(ones), size * size)
    sums = channels * inside.sum(axis=1)[:, None] + 2 * (~inside).astype(np.int64) @ weights.T
    return Borders(
        np.asarray(sums, np.int64).reshape(len(rows), len(columns), len(ones)),
        row_kind.ravel().astype(np.uint8),
        column_kind.ravel().astype(np.uint8),
    )


def _inside(side: int, outputs: int, node: Node) -> NDArray[np.bool_]:
    """(outputs, size): whether each pixel of the kernel lies inside the map, along one axis."""
    stride, padding, size = (node.numbers[name] for name in ("stride", "padding", "size"))
    places = np.arange(outputs)[:, None] * stride - padding + np.arange(size)
    found: NDArray[np.bool_] = (places >= 0) & (places < side)
    return found


def by_output(values: Array, lanes: int) -> Array:
    """Pad the last axis with zeros to whole blocks of outputs."""
    short = -values.shape[-1] % lanes
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, short)])


def in_blocks(rows: Array, lanes: int) -> Array:
    """(outputs, depth) to (blocks, depth, outputs of a block), padded with zeros."""
    outputs, depth = rows.shape
    whole = np.pad(rows, ((0, -outputs % lanes), (0, 0)))
    return np.ascontiguousarray(whole.reshape(-1, lanes, depth).transpose(0, 2, 1))
