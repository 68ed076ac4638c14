"""Columns joined to rows: out[i, k] = source k [i], with the signature of NumPy's inner loops.

A strided copy per column would touch each line of the result once per column. Here eight rows of
eight columns are transposed in registers. Imports Numba.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jittape.execute.primitives import kernel, load8, store8

LANES = 8
WORD = ir.IntType(64)
VECTOR = ir.VectorType(WORD, LANES)


def _mask(lanes):
    return ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes)


def _load(builder, address):
    return builder.load(builder.inttoptr(address, VECTOR.as_pointer()), align=1)


def _store(builder, value, address):
    builder.store(value, builder.inttoptr(address, VECTOR.as_pointer()), align=1)


def _sources(builder, table, offset, count):
    """Eight words of each source; table: where their addresses stand."""
    out = []
    for k in range(count):
        at = builder.add(table, ir.Constant(WORD, 8 * k))
        source = builder.load(builder.inttoptr(at, WORD.as_pointer()))
        out.append(_load(builder, builder.add(source, offset)))
    return out


@intrinsic
def transpose8(typingctx, table, offset, target, row):
    """Eight words at `offset` of eight sources to eight rows, `row` bytes apart."""

    def codegen(context, builder, signature, args):
        table, offset, target, row = args
        x = _sources(builder, table, offset, LANES)
        for half in (1, 2, 4):
            # rows i and i + half exchange the halves of each group of 2 * half lanes
            low = [j if not j & half else j - half + LANES for j in range(LANES)]
            high = [j + half if not j & half else j + LANES for j in range(LANES)]
            for i in range(LANES):
                if not i & half:
                    a, b = x[i], x[i + half]
                    x[i] = builder.shuffle_vector(a, b, _mask(low))
                    x[i + half] = builder.shuffle_vector(a, b, _mask(high))
        for v in x:
            _store(builder, v, target)
            target = builder.add(target, row)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def weave(typingctx, width, table, offset, target):
    """Eight words at `offset` of `width` (a literal) sources to eight contiguous rows."""
    if not isinstance(width, types.IntegerLiteral):
        return None
    w = width.literal_value

    def codegen(context, builder, signature, args):
        _, table, offset, target = args
        x = _sources(builder, table, offset, w)
        for j in range(w):
            v = x[0]
            wanted = [divmod(LANES * j + e, w) for e in range(LANES)]  # (row, source)
            for k in range(w):
                lanes = [LANES + i if s == k else e for e, (i, s) in enumerate(wanted)]
                if lanes != list(range(LANES)):
                    v = builder.shuffle_vector(v, x[k], _mask(lanes))
            _store(builder, v, builder.add(target, ir.Constant(WORD, 8 * LANES * j)))
        return context.get_dummy_value()

    return types.void(width, *[types.int64] * 3), codegen


@kernel
def join(args, dims, steps, data):
    """Words only. data: (sources,); args: the sources, then the result, whose rows touch."""
    width = load8(data)
    n = load8(dims)
    target = load8(args + 8 * width)
    row = 8 * width
    plain = width > 1
    for k in range(width):
        if load8(steps + 8 * k) != 8:
            plain = False
    done = 0
    if plain:
        while done + 8 <= n:
            at = target + done * row
            if width >= 8:
                k = 0
                while k + 8 <= width:
                    transpose8(args + 8 * k, 8 * done, at + 8 * k, row)
                    k += 8
                if k < width:  # the last eight, of which some are written again
                    k = width - 8
                    transpose8(args + 8 * k, 8 * done, at + 8 * k, row)
            elif width == 2:
                weave(2, args, 8 * done, at)
            elif width == 3:
                weave(3, args, 8 * done, at)
            elif width == 4:
                weave(4, args, 8 * done, at)
            elif width == 5:
                weave(5, args, 8 * done, at)
            elif width == 6:
                weave(6, args, 8 * done, at)
            elif width == 7:
                weave(7, args, 8 * done, at)
            done += 8
    for k in range(width):
        step = load8(steps + 8 * k)
        source = load8(args + 8 * k) + done * step
        at = target + done * row + 8 * k
        for _ in range(done, n):
            store8(at, load8(source))
            source += step
            at += row
