"""What a search works on: a study with its space, and what candidates cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ir2search.costs import cost
from ir2search.errors import CandidateError, StudyError
from ir2search.export import device_memory
from ir2search.search.latency_timer import LatencyTimer, board_costs
from ir2search.space import Candidate, SearchSpace
from ir2search.study.objectives import FLASH, OBJECTIVES, RAM, costs_of
from ir2search.study.schema import Study


@dataclass(frozen=True)
class PricedCandidate:
    """A candidate with its costs.

    Attributes:
        parameters: values of the searched parameters that name it.
        candidate: the network.
        costs: its costs by column of the table of trials.
    """

    parameters: Mapping[str, Any]
    candidate: Candidate
    costs: Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A study, and what candidates cost in it.

    Attributes:
        study: the study.
        space: its search space, for the images at hand.
        timer: measures latencies, if the study uses them.
    """

    study: Study
    space: SearchSpace
    timer: LatencyTimer

    def priced(self, parameters: Mapping[str, Any]) -> PricedCandidate:
        """The candidate of these parameters with its counted costs.

        Raises:
            CandidateError: the parameters are not those of a network.
            StudyError: a cost cannot be counted, or a registered cost function failed.
            MemoryError: the network does not fit in memory.
        """
        candidate = self.space.candidate(parameters)
        return PricedCandidate(parameters, candidate, self.counted(candidate))

    def counted(self, candidate: Candidate) -> dict[str, Any]:
        """The counted costs by column; with the latency only if it is that of another device.

        Raises:
            StudyError: a cost cannot be counted, or a registered cost function failed.
            MemoryError: the network does not fit in memory.
        """
        counted = costs_of(candidate, cost(candidate), self.study.costs)
        if self.study.board is not None:
            counted |= board_costs(self.study.board, candidate)
        if {RAM, FLASH} & set(self.study.costs):
            counted |= _device_costs(candidate)
        return counted

    def is_affordable(self, candidate: Candidate) -> bool:
        """Whether a candidate is within the budget, as far as its costs are known.

        True if its costs cannot be counted: as a trial, the candidate then fails with the reason.
        """
        if not self.study.budget:
            return True
        try:
            costs = self.counted(candidate)
            if self.study.over_budget(costs) is None and self.timer.is_used:
                costs |= self.timer.known_costs(candidate)
        except (MemoryError, StudyError):
            return True
        return self.study.over_budget(costs) is None


def _device_costs(candidate: Candidate) -> dict[str, int]:
    """RAM and flash of the exported C, by column."""
    try:
        found = device_memory(candidate)
    except CandidateError as error:
        raise StudyError(f"ram, flash: {error}") from None
    values = {RAM: found.ram_bytes, FLASH: found.flash_bytes}
    return {OBJECTIVES[name].column: value for name, value in values.items()}
