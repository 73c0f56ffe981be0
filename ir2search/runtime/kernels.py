"""The loops of the runtime, which numba compiles once on each machine and keeps on disk.

Feature maps are flat, with channels last: a position is one pixel of one image. A map of signs has
``ceil(channels / 64)`` words for each position; bit i of word j is channel 64 j + i, 1 stands for
+1, and bits after the last channel are 0. Words are little-endian.

`frame` describes the arguments of the loops. Loops do not hold Python's global lock.

Numba compiles again when this file changes. After a change of `frame` or `tiles` alone, remove
``__pycache__``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit  # type: ignore[attr-defined]
from numpy.typing import NDArray

from ir2search.runtime import frame
from ir2search.runtime.frame import LANES, POSITIONS, WIDE_LANES, Floats, Ints
from ir2search.runtime.tiles import (
    as_numbers,
    as_words,
    binary_tile,
    clear,
    copy,
    finish_tile,
    float_tile,
    pool_tile,
    wide_float_tile,
)

_compiled = njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def _address(array: NDArray[Any]) -> int:
    """The address of an array; loops call it in each iteration to keep the array alive."""
    return np.int64(array.ctypes.data)  # type: ignore[return-value]


@_compiled
def _finish(
    f: Ints, first: int, count: int, channel: int, sums: int, stride: int, classes: int
) -> None:
    """Apply `finish_tile` to ``count`` positions from ``first`` and the block at ``channel``."""
    outputs = f[frame.OUTPUTS]
    lanes = (1 << min(LANES, outputs - channel)) - 1
    numbers, words = 4 * (first * outputs + channel), 8 * ((outputs + 63) >> 6)
    finish_tile(
        f[frame.FORM], count, sums, stride, f[frame.BORDERS] + 4 * channel, classes, lanes,
        f[frame.VECTORS] + 4 * channel, 4 * f[frame.PADDED_OUTPUTS],
        f[frame.LIMITS] + 4 * channel, f[frame.SHORTCUT] + numbers, f[frame.REAL] + numbers,
        4 * outputs, f[frame.SIGNS] + first * words + (channel >> 3), words,
    )  # fmt: skip


@_compiled
def _clear_signs(f: Ints, start: int, stop: int) -> None:
    """Set all bits of some positions to 0: blocks do not write the bits after the last channel."""
    if f[frame.FORM] & frame.HAS_SIGNS and f[frame.OUTPUTS] & 63:
        words = 8 * ((f[frame.OUTPUTS] + 63) >> 6)
        clear(f[frame.SIGNS] + start * words, (stop - start) * words)


@_compiled
def pointwise(start: int, stop: int, f: Ints) -> None:
    """Apply norm, shortcut, activation and sign to a map in memory, without a convolution."""
    outputs = f[frame.OUTPUTS]
    _clear_signs(f, start, stop)
    for first in range(start, stop, POSITIONS):
        count = min(POSITIONS, stop - first)
        for channel in range(0, outputs, LANES):
            sums = f[frame.SOURCE] + 4 * (first * outputs + channel)
            _finish(f, first, count, channel, sums, 4 * outputs, 0)


@_compiled
def convolve(start: int, stop: int, f: Ints) -> None:
    """Convolve signs with signs, by XNOR and popcount, or numbers with numbers.

    The rows of each image are first copied as ROW_LAYOUT says, and patches are read from there.
    """
    outputs, binary, depth = f[frame.OUTPUTS], f[frame.IS_BINARY], f[frame.DEPTH]
    rows, columns, size = f[frame.ROWS], f[frame.COLUMNS], f[frame.SIZE]
    stride, padding = f[frame.STRIDE], f[frame.PADDING]
    element = 8 if binary else 4
    block = WIDE_LANES if not binary and outputs > LANES else LANES
    sums = np.empty(POSITIONS * block, np.int32)
    area, line, at = rows * columns, f[frame.LINE] * element, start
    lines = np.empty(0, np.uint8)
    _clear_signs(f, start, stop)
    while at < stop:
        image = at // area
        end = min(stop, (image + 1) * area)
        last = min(end - 1 + POSITIONS, (image + 1) * area - 1)  # positions come in whole blocks
        top = at % area // columns * stride - padding
        bottom = last % area // columns * stride - padding + size
        begin = f[frame.SOURCE] + image * f[frame.HEIGHT] * line
        if f[frame.ROW_LAYOUT] != frame.IN_PLACE:
            lines = np.empty((bottom - top) * line, np.uint8)
            if f[frame.ROW_LAYOUT] == frame.DENSE:
                _copy_dense(f, image, top, bottom, _address(lines))
            else:
                _copy_padded(f, image, top, bottom, _address(lines))
        for first in range(at, end, POSITIONS):
            count = min(POSITIONS, end - first)
            if f[frame.ROW_LAYOUT] != frame.IN_PLACE:
                begin = _address(lines) - (top + padding) * line
            totals, place = _address(sums), 8 * (first - image * area)
            places, offsets = f[frame.PLACES] + place, f[frame.OFFSETS]
            for channel in range(0, outputs, block):
                weights = f[frame.WEIGHTS] + channel * depth * element
                if binary:
                    binary_tile(begin, places, offsets, depth, weights, totals)
                elif block == LANES:
                    float_tile(begin, places, offsets, depth, weights, totals)
                else:
                    wide_float_tile(begin, places, offsets, depth, weights, totals)
                for part in range(0, min(block, outputs - channel), LANES):
                    _finish(
                        f, first, count, channel + part, totals + 4 * part, 4 * block,
                        f[frame.CLASSES] + place,
                    )  # fmt: skip
        at = end


@_compiled
def _copy_padded(f: Ints, image: int, top: int, bottom: int, base: int) -> None:
    """Copy rows of signs or numbers, with zeros around them."""
    height, width, padding = f[frame.HEIGHT], f[frame.WIDTH], f[frame.PADDING]
    channels = f[frame.CHANNELS]
    pixel = 8 * ((channels + 63) >> 6) if f[frame.IS_BINARY] else 4 * channels
    side, line = padding * pixel, (width + 2 * padding) * pixel
    for y in range(top, bottom):
        if y < 0 or y >= height:
            clear(base, line)
        else:
            row = f[frame.SOURCE] + (image * height + y) * width * pixel
            clear(base, side)
            copy(base + side, row, width * pixel)
            clear(base + line - side, side)
        base += line


@_compiled
def _copy_dense(f: Ints, image: int, top: int, bottom: int, base: int) -> None:
    """For each row and each output column, copy the signs that its patch has in this row.

    There are no unused bits between pixels. A line has the first words of all columns, then their
    second words, and so on.
    """
    channels, height, width = f[frame.CHANNELS], f[frame.HEIGHT], f[frame.WIDTH]
    columns, size = f[frame.COLUMNS], f[frame.SIZE]
    stride, padding = f[frame.STRIDE], f[frame.PADDING]
    source = carray(as_words(f[frame.SOURCE]), ((image + 1) * height * width,))
    lines = carray(as_words(base), ((bottom - top) * f[frame.LINE],))
    lines[:] = 0
    for y in range(max(top, 0), min(bottom, height)):
        for k in range(size):
            bit, low = k * channels, max(0, -((k - padding) // stride))
            high = max(low, min(columns, (width - 1 + padding - k) // stride + 1))
            pixels = source[(image * height + y) * width - padding + k + low * stride :]
            at = (y - top) * f[frame.LINE] + (bit >> 6) * columns
            shift = np.uint64(bit & 63)
            words = lines[at + low : at + high]
            for i in range(len(words)):
                words[i] |= pixels[i * stride] << shift
            if (bit & 63) + channels > 64:
                words = lines[at + columns + low : at + columns + high]
                for i in range(len(words)):
                    words[i] |= pixels[i * stride] >> np.uint64(64) - shift


@_compiled
def pool(start: int, stop: int, f: Ints) -> None:
    """The maximum or the mean of each window."""
    channels, rows, columns = f[frame.CHANNELS], f[frame.ROWS], f[frame.COLUMNS]
    pixel, line = 4 * channels, 4 * channels * f[frame.WIDTH]
    windows = carray(as_numbers(f[frame.WINDOWS]), (2, rows + columns))
    for at in range(start, stop):
        image, y, column = at // (rows * columns), at // columns % rows, rows + at % columns
        top, left = windows[0, y], windows[0, column]
        source = f[frame.SOURCE] + (image * f[frame.HEIGHT] + top) * line + left * pixel
        for channel in range(0, channels, LANES):
            lanes = (1 << min(LANES, channels - channel)) - 1
            pool_tile(
                source + 4 * channel, windows[1, y] - top, line, windows[1, column] - left, pixel,
                f[frame.IS_MEAN], lanes, f[frame.REAL] + 4 * (at * channels + channel),
            )  # fmt: skip


@_compiled
def pool_signs(start: int, stop: int, f: Ints) -> None:
    """The sign of the maximum: +1 if any sign is +1; in falling channels, if all signs are +1."""
    words, rows, columns = (f[frame.CHANNELS] + 63) >> 6, f[frame.ROWS], f[frame.COLUMNS]
    height, width = f[frame.HEIGHT], f[frame.WIDTH]
    windows = carray(as_numbers(f[frame.WINDOWS]), (2, rows + columns))
    falling = carray(as_words(f[frame.FALLING]), (words,))
    images = (stop - 1) // (rows * columns) + 1
    source = carray(as_words(f[frame.SOURCE]), (images, height, width, words))
    target = carray(as_words(f[frame.SIGNS]), (images * rows * columns, words))
    for at in range(start, stop):
        image, y, column = at // (rows * columns), at // columns % rows, rows + at % columns
        for j in range(words):
            some, every = np.uint64(0), ~np.uint64(0)
            for i in range(windows[0, y], windows[1, y]):
                for k in range(windows[0, column], windows[1, column]):
                    some |= source[image, i, k, j]
                    every &= source[image, i, k, j]
            target[at, j] = (some & ~falling[j]) | (every & falling[j])


@_compiled
def copy_channels(start: int, stop: int, f: Ints) -> None:
    """Copy the first COPIED channels of every stride-th pixel to channel OFFSET and the next."""
    height, width = f[frame.HEIGHT], f[frame.WIDTH]
    rows, columns = f[frame.ROWS], f[frame.COLUMNS]
    source, target = f[frame.SOURCE], f[frame.REAL] + 4 * f[frame.OFFSET]
    stride, size = f[frame.STRIDE], 4 * f[frame.COPIED]
    for at in range(start, stop):
        image, y, column = at // (rows * columns), at // columns % rows, at % columns
        pixel = (image * height + y * stride) * width + column * stride
        copy(target + 4 * at * f[frame.OUTPUTS], source + 4 * pixel * f[frame.CHANNELS], size)


@_compiled
def subsample(start: int, stop: int, f: Ints) -> None:
    """Do `copy_channels`, and set all other channels to 0."""
    size = 4 * f[frame.OUTPUTS]
    clear(f[frame.REAL] + start * size, (stop - start) * size)
    copy_channels(start, stop, f)


@_compiled
def to_channels_last(images: Floats, flat: Floats) -> bool:
    """Write images (N, C, H, W) as flat (N, H, W, C); return whether all values are finite."""
    count, channels, height, width = images.shape
    finite = True
    for image in range(count):
        for channel in range(channels):
            at = image * height * width * channels + channel
            for y in range(height):
                for x in range(width):
                    value = images[image, channel, y, x]
                    finite &= abs(value) < np.inf
                    flat[at] = value
                    at += channels
    return finite
