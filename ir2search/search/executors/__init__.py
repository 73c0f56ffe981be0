"""Who trains: this process, worker processes of this machine, or a Ray cluster."""

from ir2search.search.executors.context import open_context
from ir2search.search.executors.inline import InlineExecutor
from ir2search.search.executors.job import (
    OUT_OF_MEMORY,
    Executor,
    JobResult,
    Listener,
    TrainingContext,
    TrainingJob,
    failure_reason,
    run_job,
)
from ir2search.search.executors.processes import ProcessExecutor

__all__ = [
    "OUT_OF_MEMORY",
    "Executor",
    "InlineExecutor",
    "JobResult",
    "Listener",
    "ProcessExecutor",
    "TrainingContext",
    "TrainingJob",
    "failure_reason",
    "open_context",
    "run_job",
]
