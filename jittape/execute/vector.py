"""glibc's vector math (libmvec), and jittape's own, behind NumPy's loop signature. Imports Numba.

Which functions go here is decided in execute/choose.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jittape.execute import maths
from jittape.execute.primitives import kernel, load8, local, store8


def _applied(lanes: int, compute: Callable[[Any, Any, Any], Any]) -> Any:
    """An intrinsic: `lanes` doubles at x to as many at y. compute: (builder, vector, data)."""

    @intrinsic
    def apply(typingctx, x, y, data):
        def codegen(context, builder, signature, args):
            pointer = ir.VectorType(ir.DoubleType(), lanes).as_pointer()
            value = builder.load(builder.inttoptr(args[0], pointer), align=1)
            result = compute(builder, value, args[2])
            builder.store(result, builder.inttoptr(args[1], pointer), align=1)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), codegen

    return apply


def _called(builder: Any, value: Any, data: Any) -> Any:
    """The function whose address is the first word of data."""
    address = builder.load(builder.inttoptr(data, ir.IntType(64).as_pointer()))
    kind = ir.FunctionType(value.type, [value.type])
    return builder.call(builder.inttoptr(address, kind.as_pointer()), [value])


def _loop(name: str, lanes: int, compute: Callable[[Any, Any, Any], Any]) -> Any:
    apply = _applied(lanes, compute)

    def loop(args, dims, steps, data):
        n = load8(dims)
        x, y = load8(args), load8(args + 8)
        sx, sy = load8(steps), load8(steps + 8)
        i = 0
        if sx == 8 and sy == 8:
            while i + lanes <= n:
                apply(x + 8 * i, y + 8 * i, data)
                i += lanes
        line = local(8)
        while i < n:  # strided and left-over elements go through a line on the stack
            m = min(lanes, n - i)
            for k in range(lanes):
                store8(line + 8 * k, load8(x + (i + k) * sx) if k < m else 0)
            apply(line, line, data)
            for k in range(m):
                store8(y + (i + k) * sy, load8(line + 8 * k))
            i += m

    loop.__name__ = name
    return kernel(loop)


def _own(name: str) -> Callable[[Any, Any, Any], Any]:
    return lambda builder, value, data: maths.FUNCTIONS[name](builder, value)


loop8 = _loop("loop8", 8, _called)  # AVX-512
loop4 = _loop("loop4", 4, _called)  # AVX2
exp_loop = _loop("exp_loop", maths.LANES, _own("exp"))
tanh_loop = _loop("tanh_loop", maths.LANES, _own("tanh"))
