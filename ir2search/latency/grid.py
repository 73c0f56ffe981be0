"""Round times to a grid as coarse as their noise, so that differences within it do not rank."""

from __future__ import annotations

import math

from ir2search.runtime import Timing

FINEST = 0.02  # the smallest step, as a share of the value


def on_grid(timing: Timing) -> float:
    """The median, rounded to a logarithmic grid whose step is the noise of the timing.

    `Timing.differs` is not transitive: A may overlap with B and B with C, while A and C differ.
    Such a relation gives no front, no rank and no hypervolume. Rounded values have an order, and
    it does not depend on which other networks were timed.

    The step is the first of 2%, 4%, 8%, ... that is at least the noise: the distance between the
    quartiles, divided by the median. Each grid has every second point of the next finer one, so
    quiet and noisy times have common points. Two times that overlap can still be rounded to
    neighbouring points; every total order has this effect.

    Args:
        timing: time of a call, in seconds.

    Returns:
        The rounded median, in seconds.
    """
    step = math.log1p(FINEST)
    while step < math.log1p(timing.noise):
        step *= 2
    return math.exp(step * round(math.log(timing.median) / step))
