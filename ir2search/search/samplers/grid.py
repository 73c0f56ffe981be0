"""All candidates of a finite space, in random order."""

from __future__ import annotations

from ir2search.search.samplers.base import Point, Sampler


class GridSampler(Sampler):
    """Proposes each candidate of the space once."""

    def propose(self, number: int) -> Point | None:
        return next(self.new_points(number), None)
