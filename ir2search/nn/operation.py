"""Functions that a counter of operations sees as one operation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from torch.overrides import handle_torch_function, has_torch_function

P = ParamSpec("P")
Result = TypeVar("Result")


def one_operation(function: Callable[P, Result]) -> Callable[P, Result]:
    """Make a function visible to torch's function modes, as torch's own functions are.

    `ir2search.costs` counts operations in such a mode.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        if has_torch_function(args):
            return handle_torch_function(call, args, *args, **kwargs)
        return function(*args, **kwargs)

    return call
