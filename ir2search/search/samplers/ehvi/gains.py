"""The hypervolume that points add to a front, where their errors are uncertain."""

from __future__ import annotations

from statistics import NormalDist

import moocore
import numpy as np

LEAST_ERROR = 1e-3  # floor before the logarithm: smaller errors are sampling noise
MARGIN = 1.1  # the reference point; 1 is the worst value of each objective
# seven quantiles that represent a normal distribution
QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 7) for i in range(7)])


def mean_gains(front: np.ndarray, costs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The hypervolume that each point adds to a front, averaged over its possible errors.

    Args:
        front: (members, 1 + costs), errors and costs; the reference point is at `MARGIN`.
        costs: (points, costs).
        errors: (points, errors), the errors that each point may have, equally likely.

    Returns:
        (points), hypervolumes.
    """
    if front.shape[1] == 2:
        return _gains_of_two(front, costs[:, 0], errors).mean(axis=1)
    reference = np.full(front.shape[1], MARGIN)
    volume = moocore.hypervolume(front, ref=reference) if len(front) else 0.0
    return np.array(
        [
            np.mean([
                moocore.hypervolume(np.vstack([front, [error, *price]]), ref=reference)
                for error in row
            ]) - volume
            for row, price in zip(errors, costs, strict=True)
        ]
    )  # fmt: skip


def _gains_of_two(front: np.ndarray, costs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The hypervolume that points add to a front of errors and one cost, (points, errors).

    The front is a step function of the cost. Between the costs of two neighbours, a new point must
    have a smaller error than the cheaper one.
    """
    front = front[np.argsort(front[:, 1])]
    ends = np.append(front[:, 1], MARGIN)
    starts = np.append(-np.inf, front[:, 1])
    to_better = np.append(MARGIN, front[:, 0])
    widths = np.maximum(ends - np.maximum(starts, costs[:, None]), 0)
    heights = np.maximum(to_better - errors[:, :, None], 0)
    return np.sum(widths[:, None, :] * heights, axis=2)
