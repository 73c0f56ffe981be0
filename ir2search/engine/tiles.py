"""The innermost loops: a block of positions times a block of outputs, all of it in registers.

LLVM's own vectoriser would keep the sums in memory. Each function here takes addresses: of
`POSITIONS` patches of ``depth`` elements one after the other, and of weights laid out as
(depth, outputs of the block); it writes the sums of each position, ``stride`` elements apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

POSITIONS = 8
BINARY_OUTPUTS = 16  # of a block: two vectors of 8 words
FLOAT_OUTPUTS = (16, 32)  # one or two vectors of 16 floats

_Multiply = Callable[[ir.IRBuilder, Any, Any, Any], Any]
_COUNT = ir.IntType(64)


def _function(builder: ir.IRBuilder, kind: ir.FunctionType, name: str) -> Any:
    module = builder.module
    return cgutils.get_or_insert_function(module, kind, name)  # type: ignore[no-untyped-call]


def _differences(builder: ir.IRBuilder, total: Any, x: Any, w: Any) -> Any:
    """Total + popcount(x xor w): how many signs differ."""
    kind = total.type
    popcount = _function(builder, ir.FunctionType(kind, [kind]), "llvm.ctpop.v8i64")
    return builder.add(total, builder.call(popcount, [builder.xor(x, w)]))


def _products(builder: ir.IRBuilder, total: Any, x: Any, w: Any) -> Any:
    """Total + x * w, rounded once where the machine can."""
    kind = total.type
    multiply = _function(builder, ir.FunctionType(kind, [kind] * 3), "llvm.fmuladd.v16f32")
    return builder.call(multiply, [x, w, total])


def _tile(element: ir.Type, lanes: int, vectors: int, multiply: _Multiply) -> Any:
    """An intrinsic (patches, weights, depth, sums, stride) of machine words, that returns 0."""

    def typed(context: Any, patches: Any, weights: Any, depth: Any, sums: Any, stride: Any) -> Any:
        return types.int64(*[types.int64] * 5), generate

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        patches, weights, depth, sums, stride = arguments
        vector = ir.VectorType(element, lanes)
        inputs = builder.inttoptr(patches, element.as_pointer())
        factors = builder.inttoptr(weights, element.as_pointer())
        results = builder.inttoptr(sums, element.as_pointer())
        before = builder.block
        loop, after = builder.append_basic_block("depth"), builder.append_basic_block("sums")
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(_COUNT)
        step.add_incoming(_COUNT(0), before)
        zero = ir.Constant(vector, None)
        totals = [builder.phi(vector) for _ in range(POSITIONS * vectors)]
        for total in totals:
            total.add_incoming(zero, before)
        width = lanes * vectors
        row = builder.mul(step, _COUNT(width))
        ws = [_load(builder, factors, builder.add(row, _COUNT(v * lanes)), vector)
              for v in range(vectors)]  # fmt: skip
        sums_now: list[Any] = []
        for position in range(POSITIONS):
            place = builder.add(builder.mul(depth, _COUNT(position)), step)
            x = _spread(builder, builder.load(builder.gep(inputs, [place])), vector)
            own = totals[position * vectors : (position + 1) * vectors]
            sums_now += [multiply(builder, total, x, w) for total, w in zip(own, ws, strict=True)]
        following = builder.add(step, _COUNT(1))
        step.add_incoming(following, loop)
        for total, now in zip(totals, sums_now, strict=True):
            total.add_incoming(now, loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
        builder.position_at_end(after)
        for position in range(POSITIONS):
            for v in range(vectors):
                place = builder.add(builder.mul(stride, _COUNT(position)), _COUNT(v * lanes))
                _store(builder, sums_now[position * vectors + v], results, place)
        return _COUNT(0)

    return intrinsic(typed)


def _spread(builder: ir.IRBuilder, value: Any, vector: ir.VectorType) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), lanes)


def _load(builder: ir.IRBuilder, base: Any, place: Any, vector: ir.VectorType) -> Any:
    address = builder.bitcast(builder.gep(base, [place]), vector.as_pointer())
    return builder.load(address, align=4)


def _store(builder: ir.IRBuilder, value: Any, base: Any, place: Any) -> None:
    address = builder.bitcast(builder.gep(base, [place]), value.type.as_pointer())
    builder.store(value, address, align=4)


binary_tile = _tile(ir.IntType(64), 8, 2, _differences)
float_tile = _tile(ir.FloatType(), 16, 1, _products)
wide_float_tile = _tile(ir.FloatType(), 16, 2, _products)
