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
    sums: Floats, first: int, count: int, channels: int, form: int, vectors: Floats, kind: int,
    shortcut: Floats, real: Floats, signs: Words,
) -> None:  # fmt: skip
    """A block of positions' sums, one after the other, through the rest of the unit.

    ``vectors`` are scale, shift, knee, slope, rise and the sign's threshold, each repeated for
    every position of a block, (6, POSITIONS * channels): one long loop is quicker than many short.
    """
    size, base = count * channels, first * channels
    scale, shift = vectors[0], vectors[1]
    if form & NORM:
        for i in range(size):
            sums[i] = sums[i] * scale[i] + shift[i]
    if form & SHORTCUT:
        added = shortcut[base : base + size]
        for i in range(size):
            sums[i] += added[i]
    if kind == HARDTANH:
        for i in range(size):
            x = sums[i]
            x = np.float32(-1) if x < np.float32(-1) else x
            sums[i] = np.float32(1) if x > np.float32(1) else x
    elif kind == PRELU:
        knee, slope, rise = vectors[2], vectors[3], vectors[4]
        for i in range(size):
            x = sums[i] - knee[i]
            sums[i] = (x if x > 0 else x * slope[i]) + rise[i]
    if form & REAL:
        kept = real[base : base + size]
        for i in range(size):
            kept[i] = sums[i]
    if form & SIGNS:
        for p in range(count):
            place = p * channels
            _pack(sums[place : place + channels], vectors[5], first + p, signs)


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
def _gather_signs(x: Words, patch: Words, y0: int, x0: int, image: int, g: Ints) -> None:
    """The words of one patch, pixel by pixel; what lies outside of the map is 0."""
    channels, height, width, size = g[0], g[1], g[2], g[4]
    words = (channels + 63) >> 6
    place = 0
    for ky in range(size):
        y = y0 + ky
        for kx in range(size):
            column = x0 + kx
            if 0 <= y < height and 0 <= column < width:
                pixel = ((image * height + y) * width + column) * words
                for j in range(words):
                    patch[place + j] = x[pixel + j]
            else:
                for j in range(words):
                    patch[place + j] = 0
            place += words


@_compiled
def _gather_few_signs(x: Words, patch: Words, y0: int, x0: int, image: int, g: Ints) -> None:
    """The same of fewer channels than a word has bits, with no gaps between pixels."""
    channels, height, width, size = g[0], g[1], g[2], g[4]
    word, bit, place = np.uint64(0), 0, 0
    for ky in range(size):
        y = y0 + ky
        is_inside = 0 <= y < height
        line = (image * height + y) * width
        for kx in range(size):
            column = x0 + kx
            value = np.uint64(0)
            if is_inside and 0 <= column < width:
                value = x[line + column]
            word |= value << np.uint64(bit)
            bit += channels
            if bit >= 64:
                patch[place] = word
                place += 1
                bit -= 64
                word = value >> np.uint64(channels - bit)
    if bit > 0:
        patch[place] = word


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
    results = np.empty(POSITIONS * outputs, np.float32)
    whole = np.empty(outputs, np.int64)
    kinds = np.empty(POSITIONS, np.int64)
    image, rest = start // (rows * columns), start % (rows * columns)
    y, column = rest // columns, rest % columns
    for first in range(start, stop, POSITIONS):
        count = min(POSITIONS, stop - first)
        for p in range(count):
            y0, x0 = y * stride - padding, column * stride - padding
            if dense:
                _gather_few_signs(x, patches[p], y0, x0, image, g)
            else:
                _gather_signs(x, patches[p], y0, x0, image, g)
            kinds[p] = classes[y] + classes[rows + column]
            column += 1
            if column == columns:
                column, y = 0, y + 1
                if y == rows:
                    y, image = 0, image + 1
        for block in range(weights.shape[0]):
            binary_tile(
                np.int64(patches.ctypes.data),
                np.int64(weights[block].ctypes.data),
                np.int64(depth),
                np.int64(sums.ctypes.data + block * BINARY_OUTPUTS * 8),
                np.int64(wide),
            )
        for p in range(count):
            border = borders[kinds[p]]
            own = sums[p]
            if form & LIMITS:
                for o in range(outputs):
                    whole[o] = (border[o] - 2 * own[o]) * limits[0, o]
                _pack(whole, limits[1], first + p, signs)
            else:
                result = results[p * outputs : (p + 1) * outputs]
                for o in range(outputs):
                    result[o] = np.float32(border[o] - 2 * own[o])
        if not form & LIMITS:
            finish(results, first, count, outputs, form, vectors, kind, shortcut, real, signs)


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
    results = np.empty(POSITIONS * outputs, np.float32)
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
            results[p * outputs : (p + 1) * outputs] = sums[p, :outputs]
        finish(results, first, count, outputs, form, vectors, kind, shortcut, real, signs)


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
    block = np.empty(POSITIONS * channels, np.float32)
    for first in range(start, stop, POSITIONS):
        count = min(POSITIONS, stop - first)
        block[: count * channels] = x[first * channels : (first + count) * channels]
        finish(block, first, count, channels, form, vectors, kind, shortcut, real, signs)


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
