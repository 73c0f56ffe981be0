"""The arithmetics of the training kernels, each for a part of a test."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from ir2search.kernels import training


def arithmetic_of(arithmetic: training.Arithmetic) -> AbstractContextManager[Any]:
    """A context in which the kernels compute as if the environment named this arithmetic."""
    return mock.patch.object(training, "_of_environment", return_value=arithmetic)
