"""Counters ("handles") for the operations that fvcore does not know.

A multiply-accumulate is one FLOP, as in fvcore. `KINDS` has every operation that a network may
run. Only ``conv`` and ``linear`` are FLOPs or BOPs; a cost lists the others separately. `cost`
raises an error for an operation that is not here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

MULTIPLY_ACCUMULATE = ("conv", "linear")

# the kind of each operation in a cost, by the name that fvcore or a handle below gives it
KINDS = {
    "conv": "conv",
    "linear": "linear",
    "addmm": "linear",
    "batch_norm": "batch_norm",
    "adaptive_avg_pool2d": "pooling",
    "pooling": "pooling",
    "activation": "activation",
    "sign": "sign",
    "rounding": "rounding",
    "add": "add",
}


def _elements(name: str) -> Callable[[list[Any], list[Any]], Counter[str]]:
    """Make a handle that counts one operation for each element of the first output."""

    def handle(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: math.prod(outputs[0].type().sizes())})

    return handle


def _sign(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Count one operation for each element of a feature map, and none for weights.

    Weights are packed once, before inference. In the traced graph they are parameters; the input
    image is the only feature map that is a parameter too.
    """
    node = inputs[0].node()
    if node.kind() == "prim::PythonOp":  # the weights were standardised first
        node = next(node.inputs()).node()
    return Counter() if node.kind() == "prim::Param" else _elements("sign")(inputs, outputs)


def _nothing(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    return Counter()


HANDLES = {
    "aten::hardtanh": _elements("activation"),
    "aten::hardtanh_": _elements("activation"),
    "aten::prelu": _elements("activation"),
    "aten::add": _elements("add"),
    "aten::sub": _elements("add"),
    "aten::avg_pool2d": _elements("pooling"),
    "aten::max_pool2d": _elements("pooling"),
    "prim::PythonOp._PolynomialSign": _sign,
    "prim::PythonOp._StraightThroughSign": _sign,
    "prim::PythonOp._TanhSign": _sign,
    "prim::PythonOp._EightBits": _elements("rounding"),
    "aten::channel_shuffle": _nothing,  # moves data only
    "prim::PythonOp._Standardised": _nothing,  # applied to weights before inference
    "prim::PythonOp._Subsampled": _nothing,  # moves data only
}
