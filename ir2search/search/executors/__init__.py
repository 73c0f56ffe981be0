"""Who trains: this process, several worker processes of this machine, or a Ray cluster."""

from ir2search.search.executors.base import Executor, ExecutorFactory, ExecutorSettings
from ir2search.search.executors.context import TrainingContext, open_context
from ir2search.search.executors.inline import InlineExecutor
from ir2search.search.executors.job import JobResult, TrainingJob, run_job
from ir2search.search.executors.ordered import OrderedExecutor
from ir2search.search.executors.processes import ProcessExecutor

__all__ = [
    "Executor",
    "ExecutorFactory",
    "ExecutorSettings",
    "InlineExecutor",
    "JobResult",
    "OrderedExecutor",
    "ProcessExecutor",
    "TrainingContext",
    "TrainingJob",
    "open_context",
    "run_job",
]
