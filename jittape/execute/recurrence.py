"""x <- A x + b for a few numbers x, with another A and b at each step. Imports Numba.

Written in LLVM IR so that x stays in registers: what a step costs is the latency of one product
and of a tree of sums.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jittape.execute.primitives import exported
from jittape.passes.opcodes import MOST_CARRIED

_I64, _D = ir.IntType(64), ir.DoubleType()


def _steps(m: int) -> Any:
    """The loop for m numbers."""

    @intrinsic
    def loop(typingctx, table, n, stride):
        def codegen(context, b, signature, args):
            table, n, stride = args
            word = b.inttoptr(table, _I64.as_pointer())
            at = [b.load(b.gep(word, [_I64(k)])) for k in range(m * m + 3 * m)]
            rows = [at[i * (m + 1) : (i + 1) * (m + 1)] for i in range(m)]
            written, place = at[m * m + m : m * m + 2 * m], at[m * m + 2 * m :]

            def load(address):
                return b.load(b.inttoptr(address, _D.as_pointer()), align=8)

            def store(value, address):
                b.store(value, b.inttoptr(address, _D.as_pointer()), align=8)

            start = [load(p) for p in place]
            before, body, after = b.block, b.append_basic_block(), b.append_basic_block()
            b.branch(body)
            b.position_at_end(body)
            left, offset = b.phi(_I64), b.phi(_I64)
            x = [b.phi(_D) for _ in range(m)]
            for p, value in zip(written, x, strict=True):
                store(value, b.add(p, offset))
            new = []
            for *row, free in rows:
                terms = [b.fmul(load(b.add(p, offset)), v) for p, v in zip(row, x, strict=True)]
                terms.append(load(b.add(free, offset)))
                while len(terms) > 1:
                    pairs = zip(terms[::2], terms[1::2], strict=False)
                    terms = [b.fadd(*two) for two in pairs] + terms[len(terms) & ~1 :]
                new.append(terms[0])
            less = b.sub(left, _I64(1))
            left.add_incoming(n, before)
            left.add_incoming(less, body)
            offset.add_incoming(_I64(0), before)
            offset.add_incoming(b.add(offset, stride), body)
            for phi, first, value in zip(x, start, new, strict=True):
                phi.add_incoming(first, before)
                phi.add_incoming(value, body)
            b.cbranch(b.icmp_signed(">", less, _I64(0)), body, after)
            b.position_at_end(after)
            for value, p in zip(new, place, strict=True):
                store(value, p)
            return _I64(0)

        return types.int64(types.int64, types.int64, types.int64), codegen

    return loop


_one, _two, _three, _four, _five, _six = (_steps(m) for m in range(1, MOST_CARRIED + 1))


@exported
def recurrence(m, table, n, stride):
    """n > 0 steps of m numbers. table: addresses of A and b at the first step, by rows (A00, A01,
    ..., b0, A10, ...), of where x before each step goes, and of x, which is replaced by x after the
    last. stride: bytes from a step to the next in all but x."""
    if m == 1:
        _one(table, n, stride)
    elif m == 2:
        _two(table, n, stride)
    elif m == 3:
        _three(table, n, stride)
    elif m == 4:
        _four(table, n, stride)
    elif m == 5:
        _five(table, n, stride)
    elif m == 6:
        _six(table, n, stride)
    return 0
