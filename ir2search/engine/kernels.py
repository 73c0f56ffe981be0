"""The loops of the engine, compiled once for a machine and kept on disk.

Feature maps are channels last and flat: a position is one pixel of one image. Where a map is kept
as signs, a position has ``ceil(channels / 64)`` words; bit i of word j is channel 64 j + i, 1 for
+1, and bits past the last channel are 0. All loops work on the positions from ``start`` to
``stop``, so that threads share them out, and hold no lock of Python's.

A map that is finished goes through norm, shortcut, activation and sign in one sweep; ``form`` says
which of them it has, see the constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ir2search.engine.tiles import (
    BINARY_OUTPUTS,
    POSITIONS,
    binary_tile,
    float_tile,
    wide_float_tile,
)

NORM, SHORTCUT, REAL, SIGNS, LIMITS = 1, 2, 4, 8, 16
IDENTITY, HARDTANH, PRELU = 0, 1, 2

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

_compiled = njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def finish(
    row: Floats, at: int, form: int, vectors: Floats, kind: int, shortcut: Floats, real: Floats,
    signs: Words,
) -> None:  # fmt: skip
    """One position's sums (channels) through the rest of the unit.

    ``vectors`` are scale, shift, knee, slope, rise and the sign's threshold, (6, channels).
    """
    channels = row.shape[0]
    base = at * channels
    if form & NORM:
        for c in range(channels):
            row[c] = row[c] * vectors[0, c] + vectors[1, c]
    if form & SHORTCUT:
        for c in range(channels):
            row[c] += shortcut[base + c]
    if kind == HARDTANH:
        for c in range(channels):
            row[c] = min(max(row[c], np.float32(-1)), np.float32(1))
    elif kind == PRELU:
        for c in range(channels):
            x = row[c] - vectors[2, c]
            row[c] = (x if x > 0 else x * vectors[3, c]) + vectors[4, c]
    if form & REAL:
        for c in range(channels):
            real[base + c] = row[c]
    if form & SIGNS:
        _pack(row, vectors[5], at, signs)


@_compiled
def _pack(row: Any, least: Any, at: int, signs: Words) -> None:
    """Write the bits row >= least of one position."""
    channels = row.shape[0]
    words = (channels + 63) >> 6
    for j in range(words):
        word = np.uint64(0)
        for i in range(min(64, channels - 64 * j)):
            if row[64 * j + i] >= least[64 * j + i]:
                word |= np.uint64(1) << np.uint64(i)
        signs[at * words + j] = word


@_compiled
def _gather_signs(
    x: Words, patch: Words, y0: int, x0: int, image: int, g: Ints, dense: bool
) -> None:
    """The words of one patch; what lies outside of the map is 0.

    ``dense`` puts one pixel's bits right after the other's, so that few channels fill words.
    """
    channels, height, width, size = g[0], g[1], g[2], g[4]
    words = (channels + 63) >> 6
    patch[:] = 0
    bit = 0
    for ky in range(size):
        y = y0 + ky
        for kx in range(size):
            column = x0 + kx
            if 0 <= y < height and 0 <= column < width:
                pixel = ((image * height + y) * width + column) * words
                if dense:
                    value = x[pixel]
                    j, offset = bit >> 6, bit & 63
                    patch[j] |= value << np.uint64(offset)
                    if offset + channels > 64:
                        patch[j + 1] |= value >> np.uint64(64 - offset)
                else:
                    for j in range(words):
                        patch[bit + j] = x[pixel + j]
            bit += channels if dense else words


@_compiled
def binary_conv(
    start: int, stop: int, x: Words, g: Ints, weights: Words, borders: Ints, classes: Ints,
    form: int, vectors: Floats, kind: int, shortcut: Floats, real: Floats, signs: Words,
    limits: Ints,
) -> None:  # fmt: skip
    """Convolve signs with signs: XNOR and popcount.

    Args:
        start: first position of the output.
        stop: the one after the last.
        x: the input's signs.
        g: channels, height, width, outputs, kernel size, stride, padding, height and width of the
            output, whether patches are dense.
        weights: (blocks of outputs, words of a patch, outputs of a block).
        borders: (classes of positions, outputs) what the sum would be without any difference.
        classes: the class of each row of the output, then of each column.
        form: see the module.
        vectors: see `finish`.
        kind: the activation.
        shortcut: what is added, of the output's size.
        real: where numbers go.
        signs: where signs go.
        limits: (2, outputs) with LIMITS: direction d and least d * sum for +1, in place of all
            that `finish` does.
    """
    outputs, stride, padding = g[3], g[5], g[6]
    rows, columns, dense = g[7], g[8], g[9] != 0
    depth = weights.shape[1]
    wide = weights.shape[0] * BINARY_OUTPUTS
    patches = np.zeros((POSITIONS, depth), np.uint64)
    sums = np.empty((POSITIONS, wide), np.int64)
    row = np.empty(outputs, np.float32)
    whole = np.empty(outputs, np.int64)
    for first in range(start, stop, POSITIONS):
        count = min(POSITIONS, stop - first)
        for p in range(count):
            at = first + p
            image, rest = at // (rows * columns), at % (rows * columns)
            y, column = rest // columns, rest % columns
            _gather_signs(
                x, patches[p], y * stride - padding, column * stride - padding, image, g, dense
            )
        for block in range(weights.shape[0]):
            binary_tile(
                np.int64(patches.ctypes.data),
                np.int64(weights[block].ctypes.data),
                np.int64(depth),
                np.int64(sums.ctypes.data + block * BINARY_OUTPUTS * 8),
                np.int64(wide),
            )
        for p in range(count):
            rest = (first + p) % (rows * columns)
            border = borders[classes[rest // columns] + classes[rows + rest % columns]]
            if form & LIMITS:
                for o in range(outputs):
                    whole[o] = (border[o] - 2 * sums[p, o]) * limits[0, o]
                _pack(whole, limits[1], first + p, signs)
            else:
                for o in range(outputs):
                    row[o] = np.float32(border[o] - 2 * sums[p, o])
                finish(row, first + p, form, vectors, kind, shortcut, real, signs)


@_compiled
def float_conv(
    start: int, stop: int, x: Floats, g: Ints, weights: Floats, form: int, vectors: Floats,
    kind: int, shortcut: Floats, real: Floats, signs: Words,
) -> None:  # fmt: skip
    """Convolve numbers with numbers; arguments as in `binary_conv`.

    ``weights`` are (blocks of outputs, elements of a patch, outputs of a block).
    """
    channels, height, width, outputs = g[0], g[1], g[2], g[3]
    size, stride, padding, rows, columns = g[4], g[5], g[6], g[7], g[8]
    depth, block_outputs = weights.shape[1], weights.shape[2]
    wide = weights.shape[0] * block_outputs
    patches = np.zeros((POSITIONS, depth), np.float32)
    sums = np.empty((POSITIONS, wide), np.float32)
    for first in range(start, stop, POSITIONS):
        count = min(POSITIONS, stop - first)
        for p in range(count):
            at = first + p
            image, rest = at // (rows * columns), at % (rows * columns)
            y0, x0 = rest // columns * stride - padding, rest % columns * stride - padding
            low, high = max(0, -x0), min(size, width - x0)
            for ky in range(size):
                y, place = y0 + ky, ky * size * channels
                if y < 0 or y >= height or high <= low:
                    patches[p, place : place + size * channels] = 0
                    continue
                line = ((image * height + y) * width + x0) * channels
                for i in range(low * channels):
                    patches[p, place + i] = 0
                for i in range(low * channels, high * channels):
                    patches[p, place + i] = x[line + i]
                for i in range(high * channels, size * channels):
                    patches[p, place + i] = 0
        for block in range(weights.shape[0]):
            _float_block(patches, weights[block], sums, block * block_outputs, wide)
        for p in range(count):
            finish(sums[p, :outputs], first + p, form, vectors, kind, shortcut, real, signs)


@_compiled
def _float_block(patches: Floats, weights: Floats, sums: Floats, place: int, wide: int) -> None:
    inputs, factors = np.int64(patches.ctypes.data), np.int64(weights.ctypes.data)
    results, depth = np.int64(sums.ctypes.data + place * 4), np.int64(weights.shape[0])
    if weights.shape[1] == 16:
        float_tile(inputs, factors, depth, results, np.int64(wide))
    else:
        wide_float_tile(inputs, factors, depth, results, np.int64(wide))


@_compiled
def pointwise(
    start: int, stop: int, x: Floats, channels: int, form: int, vectors: Floats, kind: int,
    shortcut: Floats, real: Floats, signs: Words,
) -> None:  # fmt: skip
    """`finish` for maps that no convolution has just made."""
    row = np.empty(channels, np.float32)
    for at in range(start, stop):
        for c in range(channels):
            row[c] = x[at * channels + c]
        finish(row, at, form, vectors, kind, shortcut, real, signs)


@_compiled
def pool(
    start: int, stop: int, x: Floats, g: Ints, windows: Ints, average: bool, real: Floats
) -> None:
    """The largest or the mean of each window.

    Args:
        start: first position of the output.
        stop: the one after the last.
        x: the input.
        g: channels, height, width, height and width of the output.
        windows: (2, rows + columns): where each row's window begins and ends, then each column's.
        average: the mean, not the largest.
        real: where numbers go.
    """
    channels, height, width, rows, columns = g[0], g[1], g[2], g[3], g[4]
    for at in range(start, stop):
        image, rest = at // (rows * columns), at % (rows * columns)
        y, column = rest // columns, rows + rest % columns
        out = at * channels
        for c in range(channels):
            real[out + c] = np.float32(0) if average else np.float32(-np.inf)
        for i in range(windows[0, y], windows[1, y]):
            for j in range(windows[0, column], windows[1, column]):
                pixel = ((image * height + i) * width + j) * channels
                if average:
                    for c in range(channels):
                        real[out + c] += x[pixel + c]
                else:
                    for c in range(channels):
                        real[out + c] = max(real[out + c], x[pixel + c])
        if average:
            area = (windows[1, y] - windows[0, y]) * (windows[1, column] - windows[0, column])
            share = np.float32(area)
            for c in range(channels):
                real[out + c] /= share


@_compiled
def place(start: int, stop: int, x: Floats, g: Ints, real: Floats) -> None:
    """Every stride-th pixel's first channels, written between others of a wider map.

    ``g``: channels, height and width of the input, of the output rows and columns, stride, how
    many channels are taken, how many a position of the output has, where the first goes.
    """
    channels, height, width, rows, columns = g[0], g[1], g[2], g[3], g[4]
    stride, taken, wide, offset = g[5], g[6], g[7], g[8]
    for at in range(start, stop):
        image, rest = at // (rows * columns), at % (rows * columns)
        y, column = rest // columns * stride, rest % columns * stride
        pixel = ((image * height + y) * width + column) * channels
        for c in range(taken):
            real[at * wide + offset + c] = x[pixel + c]
