"""What fvcore counts, and for operations it does not know, how they are counted here.

A multiply-accumulate is one FLOP, as fvcore has it. `KINDS` names every operation that a network
of ours may run; only ``conv`` and ``linear`` are FLOPs or BOPs of a cost, the others are listed
apart. An operation missing here is reported by fvcore as unsupported, which `cost` refuses.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

MULTIPLY_ACCUMULATE = ("conv", "linear")

# fvcore's names of operations, or those of the handles below, to what a cost calls them
KINDS = {
    "conv": "conv",
    "linear": "linear",
    "addmm": "linear",
    "batch_norm": "batch_norm",
    "adaptive_avg_pool2d": "pooling",
    "hardtanh": "activation",
    "sign": "sign",
    "add": "shortcut_add",
}


def _elements(name: str) -> Callable[[list[Any], list[Any]], Counter[str]]:
    """A handle that counts one operation for each element of the first output."""

    def handle(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: math.prod(outputs[0].type().sizes())})

    return handle


def _nothing(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    return Counter()


HANDLES = {
    "aten::hardtanh": _elements("hardtanh"),
    "aten::hardtanh_": _elements("hardtanh"),
    "aten::add": _elements("add"),
    "prim::PythonOp._PolynomialSign": _elements("sign"),
    "prim::PythonOp._StraightThroughSign": _nothing,  # weights are packed once, ahead of inference
    "aten::pad": _nothing,  # moves data only
}
