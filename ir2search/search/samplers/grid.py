"""All candidates of a small space, in random order."""

from __future__ import annotations

from ir2search.search.samplers.base import Point, Sampler


class GridSampler(Sampler):
    """Proposes candidates at random, each once.

    A space of at most `DRAWS` points is tried whole. In a larger one the search ends when that many
    random points give nothing new.
    """

    def propose(self, number: int) -> Point | None:
        return next(self.new_points(number), None)
