"""Reductions: params (axes,), the reduced axes are removed from the shape.

broadcast_to is here beside sum: each is the other's transpose.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jittape.ops.accumulate import cumprod, reverse, shifted
from jittape.ops.compare import isinf
from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import amul, equal, exp, greater, logical_and, maximum, where
from jittape.ops.shape import reshape, transpose
from jittape.types import Aval, aval


def _infer(ufunc: np.ufunc) -> Any:
    def infer(x: Aval, axes: tuple[int, ...]) -> Aval:
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        if ufunc in (np.maximum, np.minimum) and 0 in [x.shape[a] for a in axes]:
            raise ValueError(
                f"zero-size array to reduction operation {ufunc.__name__} which has no identity"
            )
        return aval(shape, ufunc.resolve_dtypes((x.dtype, x.dtype, None))[2])

    return infer


def _reduction(name: str, ufunc: np.ufunc, vjp: Any = None, **extra: Any) -> Op:
    return declare(
        Op(
            name=name,
            kind=Kind.REDUCE,
            infer=_infer(ufunc),
            evaluate=lambda x, axes: ufunc.reduce(x, axis=axes) if axes else np.array(x),
            params=("axes",),
            vjp=vjp,
            kernel=ufunc,
            cases=(
                Case(((2, 3),), {"axes": (1,)}),
                Case(((2, 3, 2),), {"axes": (0, 2)}),
                Case(((4,),), {"axes": (0,)}),
            ),
            **extra,
        )
    )


sum = _reduction("sum", np.add, lambda g, out, x, axes: (expand(g, x.shape, axes),), linear=True)


# -- broadcasting, the transpose of sum ----------------------------------------------------------


def _unbroadcast_vjp(g: Any, out: Any, x: Any, shape: tuple[int, ...]) -> tuple:
    return (unbroadcast(g, x.shape),)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum g over the axes along which `shape` was broadcast to g.shape."""
    lead = g.ndim - len(shape)
    axes = tuple(i for i in range(g.ndim) if i < lead or (shape[i - lead] == 1 and g.shape[i] != 1))
    if axes:
        g = sum(g, axes=axes)
    return g if g.shape == shape else reshape(g, shape=shape)


def _broadcast_infer(x: Aval, shape: tuple[int, ...]) -> Aval:
    if np.broadcast_shapes(x.shape, shape) != tuple(shape):
        raise ValueError(f"cannot broadcast shape {x.shape} to {shape}")
    return aval(shape, x.dtype)


broadcast_to: Op = declare(
    Op(
        name="broadcast_to",
        kind=Kind.LAYOUT,
        infer=_broadcast_infer,
        evaluate=lambda x, shape: np.broadcast_to(x, shape),
        params=("shape",),
        vjp=_unbroadcast_vjp,
        linear=True,
        cases=(Case(((3, 1),), {"shape": (2, 3, 4)}), Case(((),), {"shape": (2, 2)})),
        doc="repeated along new axes and along axes of length 1",
    )
)


def expand(reduced: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """A reduced value broadcast back over the reduced axes."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return broadcast_to(reshape(reduced, shape=kept), shape=shape)


# -- the other reductions ------------------------------------------------------------------------


def _extremum_vjp(g: Any, out: Any, x: Any, axes: tuple[int, ...]) -> tuple:
    hit = where(equal(x, expand(out, x.shape, axes)), x.dtype.type(1), x.dtype.type(0))
    count = sum(hit, axes=axes)
    return (amul(hit, expand(g / count, x.shape, axes)),)  # 0 where not selected, even for inf


_TIES = "the gradient is shared equally among ties"
max = _reduction("max", np.maximum, _extremum_vjp, kinks=_TIES)
min = _reduction("min", np.minimum, _extremum_vjp, kinks=_TIES)
any = _reduction("any", np.logical_or)
all = _reduction("all", np.logical_and)


def _prod_vjp(g: Any, out: Any, x: Any, axes: tuple[int, ...]) -> tuple:
    # the product of the others, as a product of those before and those after: right at zeros,
    # also at second order, where out / x is not
    front = tuple(i for i in range(x.ndim) if i not in axes)
    moved = transpose(x, perm=(*front, *axes))
    shape = tuple(x.shape[i] for i in front)
    n = math.prod(x.shape[i] for i in axes)
    rows = reshape(moved, shape=(*shape, n))
    last = len(shape)
    before = cumprod(shifted(rows, last, 1, 1.0), axis=last)
    after = reverse(cumprod(shifted(reverse(rows, last), last, 1, 1.0), axis=last), last)
    others = reshape(before * after, shape=moved.shape)
    back = transpose(others, perm=tuple(int(p) for p in np.argsort((*front, *axes))))
    return (amul(expand(g, x.shape, axes), back),)


prod = _reduction("prod", np.multiply, _prod_vjp, kinks="right at zeros, to all orders")


def _logsumexp_vjp(g: Any, out: Any, x: Any, axes: tuple[int, ...]) -> tuple:
    full = expand(out, x.shape, axes)
    zero = x.dtype.type(0)
    edge = isinf(full)
    hit = where(logical_and(equal(x, full), greater(full, 0)), x.dtype.type(1), zero)
    share = hit / maximum(expand(sum(hit, axes=axes), x.shape, axes), x.dtype.type(1))
    weight = where(edge, share, exp(x - where(edge, zero, full)))
    return (amul(expand(g, x.shape, axes), weight),)


logsumexp = _reduction(
    "logsumexp",
    np.logaddexp,
    _logsumexp_vjp,
    kinks="all operands -inf: gradient 0; +inf: shared among them",
    doc="logaddexp.reduce",
)


def _arg(name: str, function: Any) -> Op:
    def infer(x: Aval, axis: int) -> Aval:
        if not x.shape[axis]:
            raise ValueError(f"attempt to get {name} of an empty sequence")
        return aval(tuple(n for i, n in enumerate(x.shape) if i != axis), np.intp)

    return declare(
        Op(
            name=name,
            kind=Kind.HOST,
            infer=infer,
            evaluate=lambda x, axis: function(x, axis=axis),
            params=("axis",),
            flat=True,
            cases=(Case(((2, 3),), {"axis": 1}), Case(((4,),), {"axis": 0})),
            kinks="the first of ties; index data, without derivative",
        )
    )


argmax = _arg("argmax", np.argmax)
argmin = _arg("argmin", np.argmin)
