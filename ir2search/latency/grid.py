"""Times on a grid as coarse as their noise, so that differences inside it do not rank."""

from __future__ import annotations

import math

from ir2search.latency.clock import Timing

FINEST = 0.02  # the finest step, as a share


def on_grid(timing: Timing) -> float:
    """The median in seconds, rounded to a grid whose step is the timing's noise.

    Whether two timings can be told apart (`Timing.differs`) is not transitive: of three, the first
    may be like the second and that like the third, while the first and the third differ. So there
    is no front, no rank and no hypervolume by it. What is rounded can be ordered: equal values are
    equal for all who compare, whoever else was measured and in whichever order.

    The grid is logarithmic. Its step is the least of 2%, 4%, 8%, ... that is no less than the
    distance of the quartiles over the median; each of these grids has every second point of the one
    before, so that quiet and noisy measurements fall on common points. The value is within half a
    step of the median. Two of one step whose medians are a step apart or more stay apart; of those
    that cannot be told apart, two on different sides of the middle between two points still rank,
    by one step: that is the price of an order.
    """
    step = math.log1p(FINEST)
    while step < math.log1p(timing.noise):
        step *= 2
    return math.exp(step * round(math.log(timing.median) / step))
