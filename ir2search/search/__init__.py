"""A study: its file, its objectives, the loop that asks, trains and tells, and its results."""

from ir2search.search.observer import RunObserver
from ir2search.search.results import (
    COUNTED,
    RunStatus,
    State,
    front,
    front_of,
    records,
    status,
    trials,
)
from ir2search.search.session import join, run
from ir2search.search.study import Study, load_study, shipped_studies, study_file

__all__ = [
    "COUNTED",
    "RunObserver",
    "RunStatus",
    "State",
    "Study",
    "front",
    "front_of",
    "join",
    "load_study",
    "records",
    "run",
    "shipped_studies",
    "status",
    "study_file",
    "trials",
]
