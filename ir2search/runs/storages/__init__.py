"""Storages: where a study's trials are kept, a file in the run's folder or a shared database."""

from ir2search.runs.storages.opening import is_shared, open_storage, storage_errors
from ir2search.runs.storages.study import RunStudy

__all__ = ["RunStudy", "is_shared", "open_storage", "storage_errors"]
