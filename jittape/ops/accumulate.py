"""Running reductions: params (axis,), the shape stays.

The derivatives of running products and extrema are linear recurrences S[j] = b[j] + a[j] S[j+1].
They are solved by doubling in log2(n) elementwise steps, without dividing, so that zeros are right
to all orders (W. Hillis and G. Steele, "Data parallel algorithms", CACM 29 (1986)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.compare import isfinite
from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import amul, equal, exp, where
from jittape.ops.shape import concatenate, place, strided_slice
from jittape.types import Aval, aval


def _infer(ufunc: np.ufunc) -> Any:
    def infer(x: Aval, axis: int) -> Aval:
        return aval(x.shape, ufunc.resolve_dtypes((x.dtype, x.dtype, None))[2])

    return infer


def _whole(x: Any) -> list[tuple[int, int, int]]:
    return [(0, 1, n) for n in x.shape]


def reverse(x: Any, axis: int) -> Any:
    """x with an axis reversed."""
    index = _whole(x)
    n = x.shape[axis]
    index[axis] = (max(n - 1, 0), -1, n)
    return strided_slice(x, index=tuple(index))


def shifted(x: Any, axis: int, by: int, fill: float = 0.0) -> Any:
    """x moved `by` places to higher indices (lower where negative); the gap is filled."""
    n = x.shape[axis]
    by = max(-n, min(n, by))
    index = _whole(x)
    index[axis] = (max(-by, 0), 1, n - abs(by))
    kept = strided_slice(x, index=tuple(index))
    if fill:
        gap = np.full((*x.shape[:axis], abs(by), *x.shape[axis + 1 :]), fill, x.dtype)
        return concatenate(*((gap, kept) if by > 0 else (kept, gap)), axis=axis)
    index[axis] = (max(by, 0), 1, n - abs(by))
    return place(kept, shape=x.shape, index=tuple(index))


def recurrence(a: Any, b: Any, axis: int) -> Any:
    """S with S[j] = b[j] + a[j] S[j+1] along the axis, nothing beyond its end."""
    step = 1
    while step < b.shape[axis]:
        b = b + amul(shifted(b, axis, -step), a)
        a = a * shifted(a, axis, -step)
        step *= 2
    return b


def _accumulation(name: str, ufunc: np.ufunc, vjp: Any, **extra: Any) -> Op:
    return declare(
        Op(
            name=name,
            kind=Kind.ACCUMULATE,
            infer=_infer(ufunc),
            evaluate=lambda x, axis: ufunc.accumulate(x, axis=axis),
            params=("axis",),
            vjp=vjp,
            kernel=ufunc,
            cases=(
                Case(((5,),), {"axis": 0}),
                Case(((2, 3),), {"axis": 1}),
                Case(((3, 2),), {"axis": 0}),
                Case(((2, 0),), {"axis": 1}, "empty"),
            ),
            **extra,
        )
    )


def _cumsum_vjp(g: Any, out: Any, x: Any, axis: int) -> tuple:
    return (reverse(cumsum(reverse(g, axis), axis=axis), axis),)


def _cumprod_vjp(g: Any, out: Any, x: Any, axis: int) -> tuple:
    before = cumprod(shifted(x, axis, 1, 1.0), axis=axis)
    return (amul(recurrence(shifted(x, axis, -1), g, axis), before),)


cumsum = _accumulation("cumsum", np.add, _cumsum_vjp, linear=True)
cumprod = _accumulation("cumprod", np.multiply, _cumprod_vjp, kinks="right at zeros, to all orders")


def _running_extremum_vjp(g: Any, out: Any, x: Any, axis: int) -> tuple:
    one, zero = x.dtype.type(1), x.dtype.type(0)
    hit = where(equal(x, out), one, zero)
    # stretches of equal out share one set of ties; as out is monotone they are contiguous
    same_before = where(equal(out, shifted(out, axis, 1)), one, zero)
    first = np.zeros(x.shape[axis], bool)
    first[:1] = True
    first = first.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    same_before = where(first, zero, same_before)
    same_after = shifted(same_before, axis, -1)
    count = reverse(recurrence(reverse(same_before, axis), reverse(hit, axis), axis), axis)
    return (amul(recurrence(same_after, g / count, axis), hit),)


_TIES = "the gradient is shared equally among ties"
cummax = _accumulation("cummax", np.maximum, _running_extremum_vjp, kinks=_TIES)
cummin = _accumulation("cummin", np.minimum, _running_extremum_vjp, kinks=_TIES)


def _cumlogsumexp_vjp(g: Any, out: Any, x: Any, axis: int) -> tuple:
    # d out[k] / d x[j] = e**(x[j] - out[k]); an out of -inf has no slope
    zero = x.dtype.type(0)
    finite = isfinite(out)
    level = where(finite, out, zero)
    next_level = shifted(level, axis, -1)
    decay = where(finite, exp(level - next_level), zero)
    total = recurrence(decay, g, axis)
    return (amul(total, where(finite, exp(x - level), zero)),)


cumlogsumexp = _accumulation(
    "cumlogsumexp",
    np.logaddexp,
    _cumlogsumexp_vjp,
    kinks="0 where the running result is infinite",
    doc="logaddexp.accumulate",
)
