"""x <- A x + b for a few numbers x, with another A and b at each step. Imports Numba.

Written in LLVM IR so that x stays in registers: what a step costs is the latency of one product
and of a tree of sums. All lines lie at fixed distances, so that one register holds their address.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jittape.execute.primitives import exported, load8
from jittape.passes.opcodes import MOST_CARRIED, SPACING

_I64, _D = ir.IntType(64), ir.DoubleType()


def _steps(m: int) -> Any:
    """The loop for m numbers."""

    @intrinsic
    def loop(typingctx, lines, stride, place, n):
        def codegen(context, b, signature, args):
            lines, stride, place, n = args
            pointer = _D.as_pointer()
            target = b.inttoptr(place, pointer)
            start = [b.load(b.gep(target, [_I64(k)])) for k in range(m)]
            before, body, after = b.block, b.append_basic_block(), b.append_basic_block()
            b.branch(body)
            b.position_at_end(body)
            left, at = b.phi(_I64), b.phi(_I64)
            x = [b.phi(_D) for _ in range(m)]

            def line(k):
                return b.inttoptr(b.add(at, _I64(SPACING * k)), pointer)

            def coefficient(k):
                return b.load(line(k), align=8)

            for k, value in enumerate(x):
                b.store(value, line(m * (m + 1) + k), align=8)
            new = []
            for i in range(m):
                row = i * (m + 1)
                terms = [b.fmul(coefficient(row + j), x[j]) for j in range(m)]
                terms.append(coefficient(row + m))
                while len(terms) > 1:
                    pairs = zip(terms[::2], terms[1::2], strict=False)
                    terms = [b.fadd(*two) for two in pairs] + terms[len(terms) & ~1 :]
                new.append(terms[0])
            less = b.sub(left, _I64(1))
            left.add_incoming(n, before)
            left.add_incoming(less, body)
            at.add_incoming(lines, before)
            at.add_incoming(b.add(at, stride), body)
            for phi, first, value in zip(x, start, new, strict=True):
                phi.add_incoming(first, before)
                phi.add_incoming(value, body)
            b.cbranch(b.icmp_signed(">", less, _I64(0)), body, after)
            b.position_at_end(after)
            odd = ir.Constant(_D, 0.0)
            for value in new:  # inf * 0 and nan * 0 are nan
                odd = b.fadd(odd, b.fmul(value, ir.Constant(_D, 0.0)))
            finite = b.fcmp_ordered("==", odd, ir.Constant(_D, 0.0))
            with b.if_then(finite):
                for k, value in enumerate(new):
                    b.store(value, b.gep(target, [_I64(k)]))
            return b.zext(b.not_(finite), _I64)

        return types.int64(*[types.int64] * 4), codegen

    return loop


_one, _two, _three, _four, _five, _six = (_steps(m) for m in range(1, MOST_CARRIED + 1))


@exported
def recurrence(m, table, n):
    """n > 0 steps of m numbers. table: the address of the first line at the first step, bytes from
    a step to the next, the address of x. The lines are A and b by rows (A00, A01, ..., b0, A10,
    ...), which are read, and x before each step, which is written. x is replaced by x after the
    last step, or stays and 1 is returned where a number of that is not finite."""
    lines, stride, x = load8(table), load8(table + 8), load8(table + 16)
    if m == 1:
        return _one(lines, stride, x, n)
    if m == 2:
        return _two(lines, stride, x, n)
    if m == 3:
        return _three(lines, stride, x, n)
    if m == 4:
        return _four(lines, stride, x, n)
    if m == 5:
        return _five(lines, stride, x, n)
    return _six(lines, stride, x, n)
