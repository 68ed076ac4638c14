"""Rows of a block as vectors: one number onto a row, and a row onto one number.

Rows are short (tens of elements), where a loop per row costs more than its work. Imports Numba.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from jittape.execute.maths import I64, LANES, VD, VI, splat
from jittape.execute.primitives import load8, store8

_I1, _I32 = ir.IntType(1), ir.IntType(32)
_MASK = ir.VectorType(_I1, LANES)


def _word(n: int) -> Any:
    return ir.Constant(I64, n)


def _repeated(b: Any, value: Any, kind: Any) -> Any:
    nothing = ir.Constant(kind, ir.Undefined)
    first = b.insert_element(nothing, value, ir.Constant(_I32, 0))
    return b.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_I32, kind.count), None))


def _fill(count: int) -> Any:
    @intrinsic
    def fill(typingctx, to, value):
        """`count` times the word `value`."""

        def codegen(context, builder, signature, args):
            kind = ir.VectorType(I64, count)
            place = builder.inttoptr(args[0], kind.as_pointer())
            builder.store(_repeated(builder, args[1], kind), place, align=8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return fill


fill8, fill4 = _fill(8), _fill(4)


@njit
def spread(to, source, step, rows, columns):
    """Each of `rows` words, `step` bytes apart, onto a row of words. The last stores of a row
    overlap: what is left over is no loop."""
    if columns >= 8:
        last = 8 * (columns - 8)
        for _ in range(rows):
            v = load8(source)
            for at in range(0, last, 64):
                fill8(to + at, v)
            fill8(to + last, v)
            source += step
            to += 8 * columns
    elif columns >= 4:
        last = 8 * (columns - 4)
        for _ in range(rows):
            v = load8(source)
            fill4(to, v)
            fill4(to + last, v)
            source += step
            to += 8 * columns
    else:
        for _ in range(rows):
            v = load8(source)
            for j in range(columns):
                store8(to + 8 * j, v)
            source += step
            to += 8 * columns


def _larger(b: Any, x: Any, y: Any) -> Any:
    """As NumPy: nan where either is."""
    both = b.select(b.fcmp_ordered(">", x, y), x, y)
    return b.select(b.fcmp_unordered("uno", x, x), x, both)


def _smaller(b: Any, x: Any, y: Any) -> Any:
    both = b.select(b.fcmp_ordered("<", x, y), x, y)
    return b.select(b.fcmp_unordered("uno", x, x), x, both)


def _sum(b: Any, x: Any, y: Any) -> Any:
    return b.fadd(x, y)


def _fold(op: Any, identity: float) -> Any:
    """Eight rows onto eight numbers. Element j of a row belongs to lane j % 8, of the tail first;
    then neighbours, pairs and halves: the same for each row, wherever it is in a block."""

    @intrinsic
    def fold(typingctx, a, width, columns, out, have):
        """out: `have` of eight results. width: bytes from row to row."""

        def codegen(context, builder, signature, args):
            _emit(builder, op, identity, *args)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), codegen

    return fold


def _emit(b: Any, op: Any, identity: float, a: Any, width: Any, columns: Any, out: Any, have: Any):
    def masked(name: str, kind: Any, args: list) -> Any:
        fn = b.module.globals.get(name) or ir.Function(
            b.module, ir.FunctionType(kind, [x.type for x in args]), name
        )
        return b.call(fn, args)

    def first(count: Any) -> Any:
        lanes = ir.Constant(VI, [_word(k) for k in range(LANES)])
        return b.icmp_signed("<", lanes, _repeated(b, count, VI))

    def place(address: Any) -> Any:
        return b.inttoptr(address, VD.as_pointer())

    align, top = ir.Constant(_I32, 8), b.sub(have, _word(1))
    rows = []
    for k in range(LANES):  # rows that are not there: the last again
        at = b.select(b.icmp_signed("<", _word(k), have), _word(k), top)
        rows.append(b.add(a, b.mul(at, width)))
    full = b.and_(columns, _word(-LANES))
    tail, start = first(b.sub(columns, full)), b.mul(full, _word(8))
    values = [
        masked(
            "llvm.masked.load.v8f64.p0",
            VD,
            [place(b.add(row, start)), align, tail, splat(identity)],
        )
        for row in rows
    ]
    before = b.block
    head, body, end = (b.append_basic_block(n) for n in ("fold.head", "fold.body", "fold.end"))
    b.branch(head)
    b.position_at_end(head)
    at = b.phi(I64)
    at.add_incoming(_word(0), before)
    xs = []
    for v in values:
        xs.append(b.phi(VD))
        xs[-1].add_incoming(v, before)
    b.cbranch(b.icmp_signed("<", at, start), body, end)
    b.position_at_end(body)
    for x, row in zip(xs, rows, strict=True):
        x.add_incoming(op(b, x, b.load(place(b.add(row, at)), align=8)), body)
    at.add_incoming(b.add(at, _word(8 * LANES)), body)
    b.branch(head)
    b.position_at_end(end)
    # lanes of two vectors that meet: neighbours, then pairs, then halves
    for left, step in (
        ([0, 8, 2, 10, 4, 12, 6, 14], 1),
        ([0, 1, 8, 9, 4, 5, 12, 13], 2),
        ([0, 1, 2, 3, 8, 9, 10, 11], 4),
    ):
        low, high = (
            ir.Constant(ir.VectorType(_I32, LANES), [ir.Constant(_I32, k + s) for k in left])
            for s in (0, step)
        )
        xs = [
            op(b, b.shuffle_vector(x, y, low), b.shuffle_vector(x, y, high))
            for x, y in zip(xs[::2], xs[1::2], strict=True)
        ]
    masked("llvm.masked.store.v8f64.p0", ir.VoidType(), [xs[0], place(out), align, first(have)])


fold_sum = _fold(_sum, -0.0)
fold_maximum = _fold(_larger, float("-inf"))
fold_minimum = _fold(_smaller, float("inf"))


@njit
def fold_rows(which, a, out, rows, columns):
    """Each row of float64 onto one number: its sum (0), maximum (1) or minimum (2)."""
    width = 8 * columns
    for i in range(0, rows, 8):
        x, y, have = a + i * width, out + 8 * i, min(8, rows - i)
        if which == 0:
            fold_sum(x, width, columns, y, have)
        elif which == 1:
            fold_maximum(x, width, columns, y, have)
        else:
            fold_minimum(x, width, columns, y, have)
