"""Intervals of measured shares."""

from __future__ import annotations

CONFIDENCE = 0.95


def share_interval(share: float, count: int) -> tuple[float, float]:
    """The 95% interval of a share that was measured on a sample.

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 1927.

    Args:
        share: of the sample, from 0 to 1.
        count: size of the sample.
    """
    from scipy.stats import binomtest

    found = binomtest(round(share * count), count).proportion_ci(CONFIDENCE, "wilson")
    return float(found.low), float(found.high)
