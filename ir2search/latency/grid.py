"""Round times to a grid as coarse as their noise, so that differences within it do not rank."""

from __future__ import annotations

import math

from ir2search.runtime import Timing

FINEST = 0.02  # the smallest step, as a share of the value


def on_grid(timing: Timing) -> float:
    """The median, rounded to a logarithmic grid whose step is the noise of the timing.

    Whether two timings differ (`Timing.differs`) is not transitive: the first of three may overlap
    with the second and the second with the third, while the first and the third differ. Such a
    relation gives no front, no rank and no hypervolume. Rounded values have an order, and it does
    not depend on which other networks were timed.

    The step is the smallest of 2%, 4%, 8%, ... that is not below the distance between the
    quartiles over the median. Each of these grids has every second point of the finer one, so that
    quiet and noisy times fall on common points. The result is within half a step of the median.
    Two times with the same step stay apart if their medians are at least a step apart. Two times
    that overlap can still fall on neighbouring points, if their medians lie on different sides of
    the middle between the points; every total order has this effect.

    Args:
        timing: seconds of a call.

    Returns:
        Seconds.
    """
    step = math.log1p(FINEST)
    while step < math.log1p(timing.noise):
        step *= 2
    return math.exp(step * round(math.log(timing.median) / step))
