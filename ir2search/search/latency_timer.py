"""The time of candidates on the runtime, for studies that use the latency."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ir2search.errors import CandidateError, RunError, StudyError
from ir2search.export import candidate_graph
from ir2search.files import write_json
from ir2search.latency import board_milliseconds, on_grid, time_on_runtime
from ir2search.latency.timing import Pause
from ir2search.runs.layout import CACHE, LATENCY_CACHE, LATENCY_FILE
from ir2search.runs.storages import MACHINE
from ir2search.runtime import Machine, RuntimeTime, Setting, cached_time, read_time, this_machine
from ir2search.space import Candidate
from ir2search.study.objectives import HIGH, LATENCY, LOW, MEDIAN, OBJECTIVES
from ir2search.study.schema import Study
from ir2search.study.sections import Board

if TYPE_CHECKING:
    import optuna

Costs = dict[str, float]


class LatencyTimer:
    """Times candidates on the runtime of this machine, if the study uses the latency.

    Times are cached beside the runs: an architecture is timed once for all of them.

    Args:
        study: the study.
        runs: the folder of all runs.
        paused: gives a context in which no training disturbs the timing.

    Attributes:
        is_used: whether the study uses the latency.
    """

    def __init__(self, study: Study, runs: Path, paused: Pause = nullcontext) -> None:
        self.is_used = study.is_timed
        self._setting = Setting(study.latency.threads, study.latency.batch)
        self._cache = runs / CACHE / LATENCY_CACHE
        self._paused = paused
        self._graph = functools.lru_cache(maxsize=8)(candidate_graph)

    def costs(self, candidate: Candidate) -> Costs:
        """The latency of a candidate by column; it is timed if it is not in the cache.

        Raises:
            StudyError: the runtime cannot run the network.
        """
        return latency_costs(self._time(candidate)) if self.is_used else {}

    def known_costs(self, candidate: Candidate) -> Costs:
        """The latency of a candidate by column if it is in the cache, else nothing."""
        if not self.is_used:
            return {}
        try:
            found = cached_time(self._graph(candidate), self._setting, self._cache)
        except CandidateError:
            return {}
        return {} if found is None else latency_costs(found)

    def trial_costs(self, candidate: Candidate, folder: Path) -> Costs:
        """The latency of a trial's candidate by column.

        The latency is written into the trial's folder. A trial keeps the time by which it was
        ranked.

        Raises:
            StudyError: the runtime cannot run the network.
        """
        if not self.is_used:
            return {}
        found = read_time(folder / LATENCY_FILE)
        if found is None:
            found = self._time(candidate)
            write_json(folder / LATENCY_FILE, found.as_dict())
        return latency_costs(found)

    def _time(self, candidate: Candidate) -> RuntimeTime:
        try:
            graph = self._graph(candidate)
            return time_on_runtime(graph, self._setting, self._cache, paused=self._paused)
        except CandidateError as error:
            raise StudyError(f"latency: {error}") from None


def latency_costs(found: RuntimeTime) -> Costs:
    """The columns of a latency, in ms: rounded for ranking, and as it was measured."""
    timing = found.per_image
    columns = OBJECTIVES[LATENCY].column, MEDIAN, LOW, HIGH
    seconds = on_grid(timing), timing.median, timing.low, timing.high
    return {name: 1000 * value for name, value in zip(columns, seconds, strict=True)}


def board_costs(board: Board, candidate: Candidate) -> Costs:
    """The columns of the latency on another device, in ms; a computed time has no quartiles.

    Raises:
        StudyError: the runtime cannot run the network.
    """
    try:
        expected = board_milliseconds(board, candidate)
    except CandidateError as error:
        raise StudyError(f"latency: {error}") from None
    return dict.fromkeys((OBJECTIVES[LATENCY].column, MEDIAN, LOW, HIGH), expected)


def check_machine(storage: optuna.Study, folder: Path) -> None:
    """Check that a study was timed on a machine like this one. A new study records this machine.

    Raises:
        RunError: it was timed on another processor, or by another version of the runtime.
    """
    here = this_machine()
    there = Machine.from_dict(storage.user_attrs.get(MACHINE, asdict(here)))
    for what, theirs, ours in (
        ("processor", there.cpu, here.cpu),
        ("version of the runtime", there.runtime, here.runtime),
    ):
        if theirs != ours:
            raise RunError(
                f"{folder}: its latencies were measured on another {what}, {theirs}, and this is "
                f"{ours}; continue there, or start another run"
            )
    storage.set_user_attr(MACHINE, asdict(here))
