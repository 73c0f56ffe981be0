"""Storages: where a study's trials are kept, a file in the run's folder or a shared database."""

from ir2search.runs.storages.opening import is_shared, open_storage, storage_errors
from ir2search.runs.storages.study import ENDED, IMAGES, MACHINE, PARALLEL, RunStudy

__all__ = [
    "ENDED",
    "IMAGES",
    "MACHINE",
    "PARALLEL",
    "RunStudy",
    "is_shared",
    "open_storage",
    "storage_errors",
]
