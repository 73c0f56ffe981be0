"""The innermost loops in LLVM IR: LLVM's own vectoriser would not keep the sums in registers.

Each function takes whole numbers, most of them addresses, and returns 0. A block of sixteen outputs
of a position is one vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ir2search.runtime import frame
from ir2search.runtime.frame import LANES, POSITIONS

_intrinsic: Any = intrinsic  # numba's annotation does not fit its use as a decorator
_Multiply = Callable[[ir.IRBuilder, Any, Any, Any], Any]
_WHOLE, _BITS = ir.IntType(64), ir.IntType(LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_SUMS = ir.VectorType(ir.IntType(32), LANES)


def _differences(builder: ir.IRBuilder, total: Any, x: Any, w: Any) -> Any:
    """Total + popcount(x xor w), the number of signs that differ."""
    count = _call(builder, "llvm.ctpop.v8i64", total.type, builder.xor(x, w))
    return builder.add(total, count)


def _products(builder: ir.IRBuilder, total: Any, x: Any, w: Any) -> Any:
    """Total + x * w, rounded once if the processor can do this."""
    return _call(builder, "llvm.fmuladd.v16f32", total.type, x, w, total)


def _tile(element: ir.Type, lanes: int, vectors: int, multiply: _Multiply) -> Any:
    """An intrinsic that multiplies `POSITIONS` patches with the weights of some outputs.

    Its arguments are six whole numbers:

    - ``begin``: an address.
    - ``places``: address of the distances in bytes from ``begin`` to each patch.
    - ``offsets``: address of the distances from the start of a patch to each element.
    - ``depth``: number of elements of a patch.
    - ``weights``: address of (depth, outputs).
    - ``sums``: address of (POSITIONS, outputs) of 32 bits, where the result is written.
    """

    def typed(
        context: Any, begin: Any, places: Any, offsets: Any, depth: Any, weights: Any, sums: Any
    ) -> Any:
        return types.int64(*[types.int64] * 6), generate

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        begin, places, offsets, depth, weights, sums = arguments
        vector = ir.VectorType(element, lanes)
        size = vector.count * (8 if element == _WHOLE else 4)
        starts = [
            builder.add(begin, _load(builder, _WHOLE, places, 8 * position))
            for position in range(POSITIONS)
        ]
        before = builder.block
        loop, after = builder.append_basic_block("depth"), builder.append_basic_block("sums")
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(_WHOLE)
        step.add_incoming(_WHOLE(0), before)
        totals = [builder.phi(vector) for _ in range(POSITIONS * vectors)]
        for total in totals:
            total.add_incoming(ir.Constant(vector, None), before)
        row = builder.add(weights, builder.mul(step, _WHOLE(size * vectors)))
        ws = [_load(builder, vector, row, size * v) for v in range(vectors)]
        offset = _load(builder, _WHOLE, builder.add(offsets, builder.mul(step, _WHOLE(8))))
        sums_now: list[Any] = []
        for place, start in enumerate(starts):
            value = _load(builder, element, builder.add(start, offset))
            x = _spread(builder, value, vector)
            own = totals[place * vectors : (place + 1) * vectors]
            sums_now += [multiply(builder, total, x, w) for total, w in zip(own, ws, strict=True)]
        following = builder.add(step, _WHOLE(1))
        step.add_incoming(following, loop)
        for total, now in zip(totals, sums_now, strict=True):
            total.add_incoming(now, loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
        builder.position_at_end(after)
        if element == _WHOLE:
            pairs = zip(sums_now[::2], sums_now[1::2], strict=True)
            sums_now = [_joined(builder, *pair) for pair in pairs]
        for index, total in enumerate(sums_now):
            _store(builder, total, sums, 4 * LANES * index)
        return _WHOLE(0)

    return _intrinsic(typed)


def _joined(builder: ir.IRBuilder, first: Any, second: Any) -> Any:
    """Join two vectors of 8 words into one of 16 numbers of 32 bits."""
    order = ir.Constant(_SUMS, list(range(LANES)))
    return builder.trunc(builder.shuffle_vector(first, second, order), _SUMS)


binary_tile = _tile(_WHOLE, 8, 2, _differences)
float_tile = _tile(ir.FloatType(), LANES, 1, _products)
wide_float_tile = _tile(ir.FloatType(), LANES, 2, _products)


@_intrinsic
def finish_tile(
    context: Any, form: Any, count: Any, sums: Any, stride: Any, borders: Any, classes: Any,
    lanes: Any, vectors: Any, wide: Any, limits: Any, shortcut: Any, real: Any, channels: Any,
    signs: Any, words: Any,
) -> Any:  # fmt: skip
    """Apply all steps after a convolution to the sums of a block.

    Args:
        context: numba's.
        form: the steps, a sum of the flags in `frame`.
        count: number of positions.
        sums: address of the first position's sums; with HAS_COUNTS, they count differing signs.
        stride: bytes from the sums of a position to those of the next.
        borders: address of this block's borders, int32: with HAS_COUNTS, the sums if no sign
            differed.
        classes: address of the distances in bytes from ``borders`` to those of each position.
        lanes: bits; 1 for each output that exists.
        vectors: address of this block's vectors, (VECTOR_ROWS, wide) float32.
        wide: bytes of a row of the vectors and of the limits.
        limits: address of (2, wide) int32: with HAS_LIMITS, direction d and the least d * sum that
            gives +1. They replace all other steps.
        shortcut: address of the first position of the map that is added, float32.
        real: address of the result as numbers.
        channels: bytes from a position to the next in ``shortcut`` and ``real``.
        signs: address of the result as bits.
        words: bytes from a position to the next in ``signs``.
    """
    return types.int64(*[types.int64] * 15), _finish


def _finish(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    (form, count, sums, stride, borders, classes, lanes, vectors, wide, limits, shortcut, real,
     channels, signs, words) = arguments  # fmt: skip

    def has(flag: int) -> Any:
        return builder.icmp_signed("!=", builder.and_(form, _WHOLE(flag)), _WHOLE(0))

    def vector(row: int, of: ir.Type = _FLOATS, base: Any = vectors) -> Any:
        return _load(builder, of, builder.add(base, builder.mul(wide, _WHOLE(row))))

    def place(base: Any, step: Any) -> Any:
        return builder.add(base, builder.mul(loop.index, step))

    def whole_sum() -> Any:
        own = _load(builder, _SUMS, place(sums, stride))
        border = _load(builder, _WHOLE, place(classes, _WHOLE(8)))
        most = _load(builder, _SUMS, builder.add(borders, border))
        return builder.sub(most, builder.add(own, own))

    def keep_signs(up: Any) -> None:
        bits = builder.and_(builder.bitcast(up, _BITS), builder.trunc(lanes, _BITS))
        _store(builder, bits, place(signs, words))

    one, minus_one, zero = (_constant(value) for value in (1, -1, 0))
    slot = cgutils.alloca_once(builder, _FLOATS)
    with (
        cgutils.for_range(builder, count) as loop,
        builder.if_else(has(frame.HAS_LIMITS)) as (compared, computed),
    ):
        with compared:
            turned = builder.mul(whole_sum(), vector(0, _SUMS, limits))
            keep_signs(builder.icmp_signed(">=", turned, vector(1, _SUMS, limits)))
        with computed:
            with builder.if_else(has(frame.HAS_COUNTS)) as (whole, numbers):
                with whole:
                    builder.store(builder.sitofp(whole_sum(), _FLOATS), slot)
                with numbers:
                    builder.store(_load_lanes(builder, place(sums, stride), lanes), slot)
            with builder.if_then(has(frame.HAS_NORM)):
                scaled = builder.fmul(builder.load(slot), vector(frame.SCALE))
                builder.store(builder.fadd(scaled, vector(frame.SHIFT)), slot)
            with builder.if_then(has(frame.HAS_SHORTCUT)):
                added = _load_lanes(builder, place(shortcut, channels), lanes)
                builder.store(builder.fadd(builder.load(slot), added), slot)
            with builder.if_then(has(frame.HAS_HARDTANH)):
                x = builder.load(slot)
                x = builder.select(builder.fcmp_ordered("<", x, minus_one), minus_one, x)
                x = builder.select(builder.fcmp_ordered(">", x, one), one, x)
                builder.store(x, slot)
            with builder.if_then(has(frame.HAS_PRELU)):
                x = builder.fsub(builder.load(slot), vector(frame.KNEE))
                positive = builder.fcmp_ordered(">", x, zero)
                x = builder.select(positive, x, builder.fmul(x, vector(frame.SLOPE)))
                builder.store(builder.fadd(x, vector(frame.RISE)), slot)
            with builder.if_then(has(frame.HAS_REAL)):
                _store_lanes(builder, builder.load(slot), place(real, channels), lanes)
            with builder.if_then(has(frame.HAS_SIGNS)):
                keep_signs(builder.fcmp_ordered(">=", builder.load(slot), vector(frame.THRESHOLD)))
    return _WHOLE(0)


@_intrinsic
def pool_tile(
    context: Any, source: Any, rows: Any, line: Any, columns: Any, pixel: Any, average: Any,
    lanes: Any, target: Any,
) -> Any:  # fmt: skip
    """The mean of a block over a window, or the maximum if ``average`` is 0.

    The window has ``rows`` of ``line`` bytes and ``columns`` of ``pixel`` bytes.
    """
    return types.int64(*[types.int64] * 8), _pool


def _pool(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    source, rows, line, columns, pixel, average, lanes, target = arguments
    is_mean = builder.icmp_signed("!=", average, _WHOLE(0))
    slot = cgutils.alloca_once(builder, _FLOATS)
    builder.store(builder.select(is_mean, _constant(0), _constant(float("-inf"))), slot)
    with cgutils.for_range(builder, rows) as row:
        start = builder.add(source, builder.mul(row.index, line))
        with cgutils.for_range(builder, columns) as column:
            at = builder.add(start, builder.mul(column.index, pixel))
            value, so_far = _load_lanes(builder, at, lanes), builder.load(slot)
            larger = builder.select(builder.fcmp_ordered(">", value, so_far), value, so_far)
            added = builder.fadd(so_far, value)
            builder.store(builder.select(is_mean, added, larger), slot)
    with builder.if_then(is_mean):
        area = builder.sitofp(builder.mul(rows, columns), ir.FloatType())
        mean = builder.fdiv(builder.load(slot), _spread(builder, area, _FLOATS))
        builder.store(mean, slot)
    _store_lanes(builder, builder.load(slot), target, lanes)
    return _WHOLE(0)


@_intrinsic
def copy(context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy ``count`` bytes."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        target, source, count = arguments
        to, of = (_pointer(builder, ir.IntType(8), at) for at in (target, source))
        cgutils.raw_memcpy(builder, to, of, count, 1)
        return _WHOLE(0)

    return types.int64(*[types.int64] * 3), generate


@_intrinsic
def clear(context: Any, target: Any, count: Any) -> Any:
    """Set ``count`` bytes to 0."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        target, count = arguments
        to = _pointer(builder, ir.IntType(8), target)
        cgutils.memset(builder, to, count, 0)
        return _WHOLE(0)

    return types.int64(*[types.int64] * 2), generate


def _as_pointer(kind: types.Type) -> Any:
    """An intrinsic that turns an address into a pointer to numbers of this type."""

    def typed(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate

    return _intrinsic(typed)


as_words, as_numbers = _as_pointer(types.uint64), _as_pointer(types.int64)


def _call(builder: ir.IRBuilder, name: str, returned: ir.Type, *arguments: Any) -> Any:
    kind = ir.FunctionType(returned, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments)


def _constant(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [value] * LANES)


def _spread(builder: ir.IRBuilder, value: Any, vector: ir.VectorType) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(first, undefined, lanes)


def _pointer(builder: ir.IRBuilder, kind: ir.Type, address: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder: ir.IRBuilder, kind: ir.Type, address: Any, offset: int = 0) -> Any:
    at = _pointer(builder, kind, builder.add(address, _WHOLE(offset)))
    return builder.load(at, align=4)


def _store(builder: ir.IRBuilder, value: Any, address: Any, offset: int = 0) -> None:
    at = _pointer(builder, value.type, builder.add(address, _WHOLE(offset)))
    builder.store(value, at, align=2 if value.type == _BITS else 4)


def _load_lanes(builder: ir.IRBuilder, address: Any, lanes: Any) -> Any:
    """Read only the outputs of a block that exist; a whole block needs no mask."""
    with builder.if_else(_is_whole(builder, lanes)) as (whole, part):
        with whole:
            all_lanes, after_whole = _load(builder, _FLOATS, address), builder.block
        with part:
            at, mask = _pointer(builder, _FLOATS, address), _mask(builder, lanes)
            some = _call(
                builder, "llvm.masked.load.v16f32.p0", _FLOATS,
                at, ir.IntType(32)(4), mask, _constant(0),
            )  # fmt: skip
            after_part = builder.block
    value = builder.phi(_FLOATS)
    value.add_incoming(all_lanes, after_whole)
    value.add_incoming(some, after_part)
    return value


def _store_lanes(builder: ir.IRBuilder, value: Any, address: Any, lanes: Any) -> None:
    """Write only the outputs of a block that exist."""
    with builder.if_else(_is_whole(builder, lanes)) as (whole, part):
        with whole:
            _store(builder, value, address)
        with part:
            at, mask = _pointer(builder, _FLOATS, address), _mask(builder, lanes)
            align = ir.IntType(32)(4)
            _call(builder, "llvm.masked.store.v16f32.p0", ir.VoidType(), value, at, align, mask)


def _is_whole(builder: ir.IRBuilder, lanes: Any) -> Any:
    return builder.icmp_signed("==", lanes, _WHOLE((1 << LANES) - 1))


def _mask(builder: ir.IRBuilder, lanes: Any) -> Any:
    return builder.bitcast(builder.trunc(lanes, _BITS), ir.VectorType(ir.IntType(1), LANES))
