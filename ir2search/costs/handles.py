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
    "pooling": "pooling",
    "activation": "activation",
    "sign": "sign",
    "add": "add",
}


def _elements(name: str) -> Callable[[list[Any], list[Any]], Counter[str]]:
    """A handle that counts one operation for each element of the first output."""

    def handle(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: math.prod(outputs[0].type().sizes())})

    return handle


def _sign(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """One for each element of a feature map; weights are packed once, ahead of inference.

    In the traced graph weights are parameters, which no feature map is but the image itself.
    """
    node = inputs[0].node()
    if node.kind() == "prim::PythonOp":  # standardised before
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
    "prim::PythonOp._Standardised": _nothing,  # of weights, ahead of inference
    "prim::PythonOp._Subsampled": _nothing,  # moves data only
}
