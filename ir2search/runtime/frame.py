"""The interface of the compiled loops: sizes of blocks, flags, and the places in a frame.

A loop takes a range of positions, ``start`` to ``stop``, so that threads can share the work. It
also takes a frame: an array of whole numbers, most of them addresses, in the order of this file.
A call with one array is much faster than a call with ten arguments, and an operation of a small
network takes only a few microseconds. This module needs no numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

POSITIONS = 8  # positions that are convolved together
LANES = 16  # outputs of a block
WIDE_LANES = 2 * LANES  # outputs of a wide block, for full-precision convolutions

# flags of FORM: the kind of the sums, the steps that follow, and the results that are stored
(
    HAS_COUNTS,  # the sums count the signs that differ
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

# values of ROW_LAYOUT: how rows are copied before patches are read from them
IN_PLACE = 0  # not at all
PADDED = 1  # with zeros around them
DENSE = 2  # each patch's signs of a row together, without unused bits between pixels

# the places in a frame
(
    # how a block of sums is finished, see `tiles.finish_tile`
    FORM,  # a sum of flags
    VECTORS,  # address of (VECTOR_ROWS, PADDED_OUTPUTS) float32
    LIMITS,  # address of (2, PADDED_OUTPUTS) int32
    PADDED_OUTPUTS,  # outputs, rounded up to whole blocks
    SHORTCUT,  # address of the map that is added, float32
    REAL,  # address of the output map as numbers, float32
    SIGNS,  # address of the output map as signs
    OUTPUTS,  # channels of the output map
    # the input map (SOURCE to WIDTH), and height and width of the output map, for one image
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
    LINE,  # elements of a row after it is copied
    OFFSETS,  # address of (DEPTH): bytes from the start of a patch to each element
    WEIGHTS,  # address of (blocks, DEPTH, outputs of a block)
    BORDERS,  # address of (classes, PADDED_OUTPUTS) int32: the sums if no sign differed
    PLACES,  # address of (positions of an image + POSITIONS - 1): bytes to the patch of each
    CLASSES,  # address of (positions of an image + POSITIONS - 1): bytes to the borders of each
    # for pooling and copies
    WINDOWS,  # address of (2, ROWS + COLUMNS): starts of all windows, then ends
    IS_MEAN,
    FALLING,  # address of the words of a position: 1 for channels where the steps decrease
    COPIED,  # number of channels to copy
    OFFSET,  # the first channel of the copy
    FRAME_SIZE,
) = range(32)
