"""Norm, activation and sign of a whole number as one comparison of whole numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ir2search.kernels.inference import Form
from ir2search.runtime.graph import Array

Ints = NDArray[np.int64]


def limits(form: Form, arrays: Mapping[str, Array], least: int, most: int) -> Ints | None:
    """Replace norm, activation and sign by one exact comparison.

    Compute the steps in float32 for every sum from ``least`` to ``most``. The limit is the sum at
    which the sign changes.

    Args:
        form: the steps.
        arrays: their numbers by output, for example ``scale``.
        least: the smallest sum.
        most: the largest sum.

    Returns:
        (2, outputs): direction d and a limit; the sign is +1 if d * sum >= limit. None if the sign
        changes more than once for some output.
    """
    sums = np.arange(least, most + 1, dtype=np.int64)
    x = sums[:, None].astype(np.float32)
    if form & Form.SCALE:
        x = x * arrays["scale"]
    if form & Form.SHIFT:
        x = x + arrays["shift"]
    if form & Form.HARDTANH:
        x = np.clip(x, -1, 1)
    if form & Form.PRELU:
        x = x - arrays["knee"] if form & Form.SHIFTED else x
        x = np.where(x > 0, x, x * arrays["slope"])
        x = x + arrays["rise"] if form & Form.SHIFTED else x
    up = x >= arrays["threshold"]
    changes = np.count_nonzero(up[1:] != up[:-1], axis=0)
    if (changes > 1).any():
        return None
    falls = up[0] & ~up[-1]
    first = np.where(up.any(axis=0), sums[up.argmax(axis=0)], most + 1)
    last = sums[len(sums) - 1 - up[::-1].argmax(axis=0)]
    return np.stack([np.where(falls, -1, 1), np.where(falls, -last, first)]).astype(np.int64)
