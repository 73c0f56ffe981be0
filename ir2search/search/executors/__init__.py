"""Who trains: this process, worker processes of this machine, or a Ray cluster."""

from ir2search.search.executors.inline import Inline
from ir2search.search.executors.job import (
    OUT_OF_MEMORY,
    Engine,
    Job,
    Listener,
    Outcome,
    Work,
    perform,
    reason_of,
)
from ir2search.search.executors.processes import Processes
from ir2search.search.executors.work import open_work

__all__ = [
    "OUT_OF_MEMORY",
    "Engine",
    "Inline",
    "Job",
    "Listener",
    "Outcome",
    "Processes",
    "Work",
    "open_work",
    "perform",
    "reason_of",
]
