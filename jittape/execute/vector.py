"""glibc's vector math (libmvec), and jittape's own, behind NumPy's loop signature. Imports Numba.

Which functions go here is decided in execute/choose.py.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from jittape.execute import maths
from jittape.execute.primitives import kernel, load8, local, store8


def _caller(lane, lanes, arity):
    vector = ir.VectorType(lane, lanes)

    @intrinsic
    def call(typingctx, fn, a, b, out):
        def codegen(context, builder, signature, args):
            pointer = vector.as_pointer()
            kind = ir.FunctionType(vector, [vector] * arity)
            f = builder.inttoptr(args[0], kind.as_pointer())
            xs = [builder.load(builder.inttoptr(p, pointer), align=1) for p in args[1 : 1 + arity]]
            builder.store(builder.call(f, xs), builder.inttoptr(args[3], pointer), align=1)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), codegen

    return call


call8 = _caller(ir.DoubleType(), 8, 1)
call4 = _caller(ir.DoubleType(), 4, 1)


@njit
def rest(args, dims, steps, i):
    """Addresses and strides from element i on."""
    sx, sy = load8(steps), load8(steps + 8)
    return load8(args) + i * sx, load8(args + 8) + i * sy, sx, sy


@kernel
def loop8(args, dims, steps, data):
    """AVX-512. Strided and left-over elements go through a line on the stack."""
    fn = load8(data)
    n = load8(dims)
    i = 0
    if load8(steps) == 8 and load8(steps + 8) == 8:
        x, y = load8(args), load8(args + 8)
        while i + 8 <= n:
            call8(fn, x + 8 * i, 0, y + 8 * i)
            i += 8
    x, y, sx, sy = rest(args, dims, steps, i)
    line = local(8)
    while i < n:
        m = min(8, n - i)
        for k in range(8):
            store8(line + 8 * k, load8(x + k * sx) if k < m else 0)
        call8(fn, line, 0, line)
        for k in range(m):
            store8(y + k * sy, load8(line + 8 * k))
        x += m * sx
        y += m * sy
        i += m


@kernel
def loop4(args, dims, steps, data):
    """AVX2, as loop8."""
    fn = load8(data)
    n = load8(dims)
    i = 0
    if load8(steps) == 8 and load8(steps + 8) == 8:
        x, y = load8(args), load8(args + 8)
        while i + 4 <= n:
            call4(fn, x + 8 * i, 0, y + 8 * i)
            i += 4
    x, y, sx, sy = rest(args, dims, steps, i)
    line = local(4)
    while i < n:
        m = min(4, n - i)
        for k in range(4):
            store8(line + 8 * k, load8(x + k * sx) if k < m else 0)
        call4(fn, line, 0, line)
        for k in range(m):
            store8(y + k * sy, load8(line + 8 * k))
        x += m * sx
        y += m * sy
        i += m


def _own(function):
    @intrinsic
    def apply(typingctx, x, y):
        """Eight doubles at x to eight at y."""

        def codegen(context, builder, signature, args):
            pointer = maths.VD.as_pointer()
            value = builder.load(builder.inttoptr(args[0], pointer), align=1)
            builder.store(function(builder, value), builder.inttoptr(args[1], pointer), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return apply


exp8 = _own(maths.exp)
tanh8 = _own(maths.tanh)


@kernel
def exp_loop(args, dims, steps, data):
    """Strided and left-over elements go through a line on the stack."""
    n = load8(dims)
    i = 0
    if load8(steps) == 8 and load8(steps + 8) == 8:
        x, y = load8(args), load8(args + 8)
        while i + 8 <= n:
            exp8(x + 8 * i, y + 8 * i)
            i += 8
    x, y, sx, sy = rest(args, dims, steps, i)
    line = local(8)
    while i < n:
        m = min(8, n - i)
        for k in range(8):
            store8(line + 8 * k, load8(x + k * sx) if k < m else 0)
        exp8(line, line)
        for k in range(m):
            store8(y + k * sy, load8(line + 8 * k))
        x += m * sx
        y += m * sy
        i += m


@kernel
def tanh_loop(args, dims, steps, data):
    """As exp_loop."""
    n = load8(dims)
    i = 0
    if load8(steps) == 8 and load8(steps + 8) == 8:
        x, y = load8(args), load8(args + 8)
        while i + 8 <= n:
            tanh8(x + 8 * i, y + 8 * i)
            i += 8
    x, y, sx, sy = rest(args, dims, steps, i)
    line = local(8)
    while i < n:
        m = min(8, n - i)
        for k in range(8):
            store8(line + 8 * k, load8(x + k * sx) if k < m else 0)
        tanh8(line, line)
        for k in range(m):
            store8(y + k * sy, load8(line + 8 * k))
        x += m * sx
        y += m * sy
        i += m
