"""Who trains: this process, several worker processes of this machine, or a Ray cluster."""

from ir2search.search.executors.base import Executor as Executor
from ir2search.search.executors.base import ExecutorFactory as ExecutorFactory
from ir2search.search.executors.base import ExecutorSettings as ExecutorSettings
from ir2search.search.executors.context import TrainingContext as TrainingContext
from ir2search.search.executors.context import open_context as open_context
from ir2search.search.executors.inline import InlineExecutor as InlineExecutor
from ir2search.search.executors.job import JobResult as JobResult
from ir2search.search.executors.job import TrainingJob as TrainingJob
from ir2search.search.executors.job import run_job as run_job
from ir2search.search.executors.ordered import OrderedExecutor as OrderedExecutor
from ir2search.search.executors.processes import ProcessExecutor as ProcessExecutor
