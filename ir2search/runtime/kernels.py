"""The loops of the engine, compiled once for a machine and kept on disk.

Feature maps are channels last and flat: a position is one pixel of one image. Where a map is kept
as signs, a position has ``ceil(channels / 64)`` words; bit i of word j is channel 64 j + i, 1 for
+1, and bits past the last channel are 0. Words are little-endian.

A loop takes the positions from ``start`` to ``stop``, so that threads share them out, and a frame:
whole numbers, addresses above all, at the places that are named here. One argument costs a call far
less than ten arrays do, and a small network's operations take a few microseconds each. Loops hold
no lock of Python's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit  # type: ignore[attr-defined]
from numpy.typing import NDArray

from ir2search.runtime.tiles import (
    LANES,
    POSITIONS,
    SIGNS,
    WIDE_LANES,
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

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

# how a block of sums is finished, see `tiles.finish_tile`: FORM to OUTPUTS
(
    FORM,
    VECTORS,  # address of (tiles.VECTORS, WIDE) float32
    LIMITS,  # address of (2, WIDE) int32
    WIDE,  # outputs, filled up to whole blocks
    SHORTCUT,
    REAL,
    TO_SIGNS,
    OUTPUTS,
    # what a loop takes, of one image: the map that it reads and the one that it makes
    SOURCE,
    CHANNELS,
    HEIGHT,
    WIDTH,
    ROWS,
    COLUMNS,
    # a convolution's own
    SIZE,
    STRIDE,
    PADDING,
    IS_BINARY,
    LAYING,  # how a patch is made to lie in one place, see below
    DEPTH,  # elements of a patch: words, or numbers
    LINE,  # elements of a row of the map as patches are read from it
    OFFSETS,  # address of (DEPTH) offsets in a patch
    WEIGHTS,  # address of (blocks, DEPTH, outputs of a block)
    BORDERS,  # address of (classes, WIDE) int32: sums without any difference
    PLACES,  # address of (positions of an image, with more): bytes to a patch, from row 0
    CLASSES,  # address of (the same): bytes to a position's borders
    # of pooling and placing
    WINDOWS,  # address of (2, ROWS + COLUMNS): where each window begins, then where each ends
    IS_MEAN,
    FALLING,  # address of the words of a position: 1 where a sign is +1 only if all pooled are
    TAKEN,  # channels that are copied
    OFFSET,  # the channel that they go to
    FRAME,  # numbers of a frame
) = range(32)

IN_PLACE, AROUND, GAPLESS = 0, 1, 2  # as it is; with zeros around; with no gaps between signs

_compiled = njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def _address(array: NDArray[Any]) -> int:
    """Where an array begins. Asked for anew in each turn of a loop: it lives as long as that."""
    return np.int64(array.ctypes.data)  # type: ignore[return-value]


@_compiled
def _finish(
    f: Ints, first: int, count: int, channel: int, sums: int, stride: int, classes: int
) -> None:
    """A block's sums, of so many positions and of the outputs from ``channel``."""
    outputs = f[OUTPUTS]
    lanes = (1 << min(LANES, outputs - channel)) - 1
    numbers, words = 4 * (first * outputs + channel), 8 * ((outputs + 63) >> 6)
    finish_tile(
        f[FORM], count, sums, stride, f[BORDERS] + 4 * channel, classes, lanes,
        f[VECTORS] + 4 * channel, 4 * f[WIDE], f[LIMITS] + 4 * channel, f[SHORTCUT] + numbers,
        f[REAL] + numbers, 4 * outputs, f[TO_SIGNS] + first * words + (channel >> 3), words,
    )  # fmt: skip


@_compiled
def _begin_signs(f: Ints, start: int, stop: int) -> None:
    """Blocks write the bits of their own channels: those past the last one stay 0."""
    if f[FORM] & SIGNS and f[OUTPUTS] & 63:
        words = 8 * ((f[OUTPUTS] + 63) >> 6)
        clear(f[TO_SIGNS] + start * words, (stop - start) * words)


@_compiled
def pointwise(start: int, stop: int, f: Ints) -> None:
    """What follows convolutions, for maps that no convolution has just made."""
    outputs = f[OUTPUTS]
    _begin_signs(f, start, stop)
    for first in range(start, stop, POSITIONS):
        count = min(POSITIONS, stop - first)
        for channel in range(0, outputs, LANES):
            sums = f[SOURCE] + 4 * (first * outputs + channel)
            _finish(f, first, count, channel, sums, 4 * outputs, 0)


@_compiled
def convolve(start: int, stop: int, f: Ints) -> None:
    """Convolve signs with signs, by XNOR and popcount, or numbers with numbers.

    Each image's rows are first laid out so that every patch can be read where it lies.
    """
    outputs, binary, depth = f[OUTPUTS], f[IS_BINARY], f[DEPTH]
    rows, columns, size, stride, padding = f[ROWS], f[COLUMNS], f[SIZE], f[STRIDE], f[PADDING]
    element = 8 if binary else 4
    block = WIDE_LANES if not binary and outputs > LANES else LANES
    sums = np.empty(POSITIONS * block, np.int32)
    area, line, at = rows * columns, f[LINE] * element, start
    lines = np.empty(0, np.uint8)
    _begin_signs(f, start, stop)
    while at < stop:
        image = at // area
        end = min(stop, (image + 1) * area)
        last = min(end - 1 + POSITIONS, (image + 1) * area - 1)  # whole blocks are convolved
        top = at % area // columns * stride - padding
        bottom = last % area // columns * stride - padding + size
        begin = f[SOURCE] + image * f[HEIGHT] * line
        if f[LAYING] != IN_PLACE:
            lines = np.empty((bottom - top) * line, np.uint8)
            if f[LAYING] == GAPLESS:
                _lay_out_few_signs(f, image, top, bottom, _address(lines))
            else:
                _lay_out(f, image, top, bottom, _address(lines))
        for first in range(at, end, POSITIONS):
            count = min(POSITIONS, end - first)
            if f[LAYING] != IN_PLACE:
                begin = _address(lines) - (top + padding) * line
            totals, place = _address(sums), 8 * (first - image * area)
            for channel in range(0, outputs, block):
                weights = f[WEIGHTS] + channel * depth * element
                if binary:
                    binary_tile(begin, f[PLACES] + place, f[OFFSETS], depth, weights, totals)
                elif block == LANES:
                    float_tile(begin, f[PLACES] + place, f[OFFSETS], depth, weights, totals)
                else:
                    wide_float_tile(begin, f[PLACES] + place, f[OFFSETS], depth, weights, totals)
                for part in range(0, min(block, outputs - channel), LANES):
                    _finish(
                        f, first, count, channel + part, totals + 4 * part, 4 * block,
                        f[CLASSES] + place,
                    )  # fmt: skip
        at = end


@_compiled
def _lay_out(f: Ints, image: int, top: int, bottom: int, base: int) -> None:
    """Rows of an image with zeros around them; words of signs, or numbers."""
    height, width, padding = f[HEIGHT], f[WIDTH], f[PADDING]
    pixel = 8 * ((f[CHANNELS] + 63) >> 6) if f[IS_BINARY] else 4 * f[CHANNELS]
    side, line = padding * pixel, (width + 2 * padding) * pixel
    for y in range(top, bottom):
        if y < 0 or y >= height:
            clear(base, line)
        else:
            clear(base, side)
            copy(base + side, f[SOURCE] + (image * height + y) * width * pixel, width * pixel)
            clear(base + line - side, side)
        base += line


@_compiled
def _lay_out_few_signs(f: Ints, image: int, top: int, bottom: int, base: int) -> None:
    """For each row and each column of the output, the signs of a row of its patch, gapless.

    Words of a row are apart: all columns' first ones, then all columns' second ones.
    """
    channels, height, width, columns = f[CHANNELS], f[HEIGHT], f[WIDTH], f[COLUMNS]
    size, stride, padding = f[SIZE], f[STRIDE], f[PADDING]
    source = carray(as_words(f[SOURCE]), ((image + 1) * height * width,))
    lines = carray(as_words(base), ((bottom - top) * f[LINE],))
    lines[:] = 0
    for y in range(max(top, 0), min(bottom, height)):
        for k in range(size):
            bit, low = k * channels, max(0, -((k - padding) // stride))
            high = max(low, min(columns, (width - 1 + padding - k) // stride + 1))
            pixels = source[(image * height + y) * width - padding + k + low * stride :]
            at, shift = (y - top) * f[LINE] + (bit >> 6) * columns, np.uint64(bit & 63)
            words = lines[at + low : at + high]
            for i in range(len(words)):
                words[i] |= pixels[i * stride] << shift
            if (bit & 63) + channels > 64:
                words = lines[at + columns + low : at + columns + high]
                for i in range(len(words)):
                    words[i] |= pixels[i * stride] >> np.uint64(64) - shift


@_compiled
def pool(start: int, stop: int, f: Ints) -> None:
    """The largest or the mean of each window."""
    channels, rows, columns = f[CHANNELS], f[ROWS], f[COLUMNS]
    pixel, line = 4 * channels, 4 * channels * f[WIDTH]
    windows = carray(as_numbers(f[WINDOWS]), (2, rows + columns))
    for at in range(start, stop):
        image, y, column = at // (rows * columns), at // columns % rows, rows + at % columns
        top, left = windows[0, y], windows[0, column]
        source = f[SOURCE] + (image * f[HEIGHT] + top) * line + left * pixel
        for channel in range(0, channels, LANES):
            lanes = (1 << min(LANES, channels - channel)) - 1
            pool_tile(
                source + 4 * channel, windows[1, y] - top, line, windows[1, column] - left, pixel,
                f[IS_MEAN], lanes, f[REAL] + 4 * (at * channels + channel),
            )  # fmt: skip


@_compiled
def pool_signs(start: int, stop: int, f: Ints) -> None:
    """+1 where any sign of a window is, or where all are."""
    words, rows, columns = (f[CHANNELS] + 63) >> 6, f[ROWS], f[COLUMNS]
    height, width = f[HEIGHT], f[WIDTH]
    windows = carray(as_numbers(f[WINDOWS]), (2, rows + columns))
    falling = carray(as_words(f[FALLING]), (words,))
    images = (stop - 1) // (rows * columns) + 1
    source = carray(as_words(f[SOURCE]), (images, height, width, words))
    target = carray(as_words(f[TO_SIGNS]), (images * rows * columns, words))
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
def place(start: int, stop: int, f: Ints) -> None:
    """Every stride-th pixel's first channels, written between others of a map with more."""
    height, width, rows, columns = f[HEIGHT], f[WIDTH], f[ROWS], f[COLUMNS]
    source, target = f[SOURCE], f[REAL] + 4 * f[OFFSET]
    for at in range(start, stop):
        image, y, column = at // (rows * columns), at // columns % rows, at % columns
        pixel = (image * height + y * f[STRIDE]) * width + column * f[STRIDE]
        copy(target + 4 * at * f[OUTPUTS], source + 4 * pixel * f[CHANNELS], 4 * f[TAKEN])


@_compiled
def subsample(start: int, stop: int, f: Ints) -> None:
    """`place`, with zeros in the channels that nothing is written to."""
    clear(f[REAL] + 4 * start * f[OUTPUTS], 4 * (stop - start) * f[OUTPUTS])
    place(start, stop, f)


@_compiled
def take(images: Floats, flat: Floats) -> bool:
    """Write (N, C, H, W) images as (N, H, W, C), flat, and say whether all values are finite."""
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
