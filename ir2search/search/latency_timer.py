"""The time of candidates on the runtime, for studies that ask for it."""

from __future__ import annotations

import functools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ir2search.errors import CandidateError, RunError, StudyError
from ir2search.export import candidate_graph
from ir2search.files import write_json
from ir2search.latency import on_grid, time_on_runtime
from ir2search.latency.timing import Quiet
from ir2search.runs.layout import CACHE, LATENCY_CACHE, LATENCY_FILE
from ir2search.runtime import Machine, RuntimeTime, Setting, cached_time, read_time, this_machine
from ir2search.space import Candidate
from ir2search.study.objectives import HIGH, LATENCY, LOW, MEDIAN, OBJECTIVES
from ir2search.study.schema import Study

if TYPE_CHECKING:
    import optuna

MACHINE = "machine"  # the attribute of a storage with the machine that measures latencies

Costs = dict[str, float]


class LatencyTimer:
    """Times candidates on this machine, each architecture once for all runs of a folder.

    Args:
        study: the study; nothing is timed if it does not ask for latency.
        runs: the folder of the runs; times are kept in its cache.
        quiet: a context that is entered while timing; it holds trainings back.
    """

    def __init__(self, study: Study, runs: Path, quiet: Quiet | None = None) -> None:
        self.is_used = study.is_timed
        self._setting = Setting(study.latency.threads, study.latency.batch)
        self._cache = runs / CACHE / LATENCY_CACHE
        self._quiet = quiet
        self._graph = functools.lru_cache(maxsize=8)(candidate_graph)

    def costs(self, candidate: Candidate) -> Costs:
        """The latency of a candidate by column, from the cache or measured now.

        Raises:
            StudyError: the runtime cannot run the network.
        """
        return latency_costs(self._time(candidate)) if self.is_used else {}

    def known(self, candidate: Candidate) -> Costs:
        """The latency of a candidate by column if it is in the cache, else nothing."""
        found = self._cached(candidate) if self.is_used else None
        return {} if found is None else latency_costs(found)

    def of_trial(self, candidate: Candidate, folder: Path) -> Costs:
        """The latency of a trial by column: read from its folder, or measured and written there.

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

    def _cached(self, candidate: Candidate) -> RuntimeTime | None:
        try:
            return cached_time(self._graph(candidate), self._setting, self._cache)
        except CandidateError:
            return None

    def _time(self, candidate: Candidate) -> RuntimeTime:
        quiet = {} if self._quiet is None else {"quiet": self._quiet}
        try:
            return time_on_runtime(self._graph(candidate), self._setting, self._cache, **quiet)
        except CandidateError as error:
            raise StudyError(f"latency: {error}") from None


def latency_costs(found: RuntimeTime) -> Costs:
    """The columns of a time in milliseconds: rounded to its grid, which ranks, and as measured."""
    timing = found.an_image
    columns = OBJECTIVES[LATENCY].column, MEDIAN, LOW, HIGH
    seconds = on_grid(timing), timing.median, timing.low, timing.high
    return {name: 1000 * value for name, value in zip(columns, seconds, strict=True)}


def check_machine(storage: optuna.Study, folder: Path) -> None:
    """Check that this machine measured the latencies of a study; the first machine is recorded.

    Raises:
        RunError: they were measured on another processor, or on another version of the runtime.
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
