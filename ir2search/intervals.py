"""Intervals of measured shares."""

from __future__ import annotations

import math
from statistics import NormalDist

CONFIDENCE = 0.95


def share_interval(share: float, count: int) -> tuple[float, float]:
    """The 95% interval of a share that was measured on a sample.

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 1927.

    Args:
        share: of the sample, from 0 to 1.
        count: size of the sample.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    spread = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    centre, scale = share + z**2 / (2 * count), 1 + z**2 / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
