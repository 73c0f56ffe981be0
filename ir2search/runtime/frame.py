"""The interface of the compiled loops: sizes of blocks, flags, and the places in a frame.

A loop takes the positions from ``start`` to ``stop``, so that threads can share the work, and a
frame: an array of whole numbers, most of them addresses, at the places that are named here. One
array costs a call far less than ten arguments do, and the operations of a small network take only
a few microseconds each. This module needs no numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

POSITIONS = 8  # convolved at once
LANES = 16  # outputs of a block
WIDE_LANES = 2 * LANES  # of two blocks, for convolutions of numbers

# flags of FORM: what the sums of a block are, which steps follow, and which results are kept
(
    HAS_COUNTS,  # the sums are numbers of signs that differ
    HAS_NORM,
    HAS_SHORTCUT,
    HAS_HARDTANH,
    HAS_PRELU,
    HAS_REAL,
    HAS_SIGNS,
    HAS_LIMITS,  # norm, activation and sign are one comparison of whole numbers
) = (1 << bit for bit in range(8))

# rows of VECTORS
SCALE, SHIFT, KNEE, SLOPE, RISE, THRESHOLD, VECTOR_ROWS = range(7)

# values of ROW_LAYOUT: what happens to the rows of a map before patches are read from them
IN_PLACE = 0  # nothing
PADDED = 1  # they are copied with zeros around them
DENSE = 2  # the signs of a patch are copied for each output, without unused bits between pixels

# the places in a frame
(
    # how a block of sums is finished, see `tiles.finish_tile`
    FORM,  # a sum of flags
    VECTORS,  # address of (VECTOR_ROWS, PADDED_OUTPUTS) float32
    LIMITS,  # address of (2, PADDED_OUTPUTS) int32
    PADDED_OUTPUTS,  # outputs, rounded up to whole blocks
    SHORTCUT,  # address of the map that is added, float32
    REAL,  # address of the map that is made as numbers, float32
    SIGNS,  # address of the map that is made as signs
    OUTPUTS,  # channels of the map that is made
    # the map that is read and the sides of the map that is made, for one image
    SOURCE,  # address
    CHANNELS,
    HEIGHT,
    WIDTH,
    ROWS,
    COLUMNS,
    # for convolutions
    SIZE,
    STRIDE,
    PADDING,
    IS_BINARY,
    ROW_LAYOUT,
    DEPTH,  # elements of a patch: words of signs, or numbers
    LINE,  # elements of a row of the map after it was laid out
    OFFSETS,  # address of (DEPTH): bytes from the start of a patch to each element
    WEIGHTS,  # address of (blocks, DEPTH, outputs of a block)
    BORDERS,  # address of (classes, PADDED_OUTPUTS) int32: the sums if no sign differed
    PLACES,  # address of (positions of an image + POSITIONS - 1): bytes to the patch of each
    CLASSES,  # address of (the same): bytes to the borders of each position
    # for pooling and copies
    WINDOWS,  # address of (2, ROWS + COLUMNS): where each window starts, and where it ends
    IS_MEAN,
    FALLING,  # address of the words of a position: 1 for channels that need all signs to be +1
    COPIED,  # channels that are copied
    OFFSET,  # the first channel that they are copied to
    FRAME_SIZE,
) = range(32)
