"""Differences, quadrature, interpolation, convolution and polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from jittape.functions.creation import as_array
from jittape.functions.gather import rows, searchsorted, take
from jittape.functions.join import concatenate
from jittape.functions.products import matmul
from jittape.functions.reductions import _UNSET
from jittape.functions.select import promoted
from jittape.functions.shape import broadcast_to, flip, ravel, sliced, to_shape
from jittape.ops.declare import Case
from jittape.ops.elementwise import where
from jittape.tracing.dispatch import implements
from jittape.tracing.tracer import cast

_F8 = np.dtype(np.float64)


def _steps(a: Any, axis: int) -> tuple[Any, Any]:
    """a without its first and without its last element along an axis."""
    n = a.shape[axis]
    return sliced(a, axis, min(1, n), n), sliced(a, axis, 0, max(n - 1, 0))


@implements(
    np.diff,
    cases=(
        Case(((5,),)),
        Case(((3, 4),), {"n": 2}),
        Case(((3, 4),), {"axis": 0, "prepend": 0.0, "append": 1.0}),
        Case(((1,),), name="empty result"),
    ),
)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = _UNSET, append: Any = _UNSET) -> Any:
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    a = as_array(a)
    if a.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    if n == 0:
        return a
    axis = normalize_axis_index(axis, a.ndim)
    parts = []
    for end in (prepend, a, append):
        if end is _UNSET or end is a:
            parts += [] if end is _UNSET else [a]
            continue
        end = as_array(end)
        if end.ndim == 0:
            end = broadcast_to(end, (*a.shape[:axis], 1, *a.shape[axis + 1 :]))
        parts.append(end)
    a = concatenate(parts, axis)
    for _ in range(n):
        later, sooner = _steps(a, axis)
        a = later != sooner if a.dtype.kind == "b" else later - sooner
    return a


@implements(np.ediff1d, cases=(Case(((2, 3),)), Case(((3,),), {"to_end": 1.0, "to_begin": 2.0})))
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    a = ravel(ary)
    parts = [x if x is None else ravel(as_array(x)) for x in (to_begin, diff(a), to_end)]
    return concatenate([cast(x, a.dtype) for x in parts if x is not None])


@implements(
    np.gradient,
    cases=(
        Case(((5,),)),
        Case(((3, 4), 0.5), {"axis": 1}),
        Case(((5,), np.array([0.0, 1.0, 1.5, 3.0, 3.5])), name="uneven"),
        Case(((3, 4),), {"edge_order": 2}, "both axes"),
        Case(((5,), np.array([0.0, 1.0, 1.5, 3.0, 3.5])), {"edge_order": 2}, "uneven, 2nd order"),
    ),
)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = as_array(f)
    if f.dtype.kind in "iu":
        f = cast(f, _F8)
    axes = tuple(range(f.ndim)) if axis is None else normalize_axis_tuple(axis, f.ndim)
    # Python's numbers stay as they are: they have no dtype of their own
    spacings = [v if type(v) in (int, float) else as_array(v) for v in varargs] or [1.0] * len(axes)
    if len(spacings) == 1 and np.ndim(spacings[0]) == 0:
        spacings = spacings * len(axes)
    if len(spacings) != len(axes):
        raise TypeError("invalid number of arguments")
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    out = [_gradient(f, i, h, edge_order) for i, h in zip(axes, spacings, strict=True)]
    return out[0] if len(out) == 1 else tuple(out)


def _gradient(f: Any, axis: int, spacing: Any, order: int) -> Any:
    """Second-order differences (Fornberg 1988), as NumPy computes them."""
    n = f.shape[axis]
    if n < order + 1:
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, "
            "at least (edge_order + 1) elements are required."
        )

    def at(start: int, stop: int) -> Any:
        return sliced(f, axis, start, stop)

    def edge(indices: tuple[int, ...], weights: tuple) -> Any:
        total: Any = None
        for i, w in zip(indices, weights, strict=True):
            term = at(i % n, i % n + 1) * w
            total = term if total is None else total + term
        return total

    if np.ndim(spacing) == 0:
        h = spacing
        middle = (at(2, n) - at(0, n - 2)) / (2.0 * h)
        if order == 1:
            first, last = (at(1, 2) - at(0, 1)) / h, (at(n - 1, n) - at(n - 2, n - 1)) / h
        else:
            first = edge((0, 1, 2), (-1.5 / h, 2.0 / h, -0.5 / h))
            last = edge((-3, -2, -1), (0.5 / h, -2.0 / h, 1.5 / h))
    else:
        if spacing.shape != (n,):
            raise ValueError("when 1d, distances must match the length of the corresponding dim")
        d = diff(spacing)
        shape = tuple(n - 2 if i == axis else 1 for i in range(f.ndim))
        h1, h2 = to_shape(d[:-1], shape), to_shape(d[1:], shape)
        a, b, c = -h2 / (h1 * (h1 + h2)), (h2 - h1) / (h1 * h2), h1 / (h2 * (h1 + h2))
        middle = a * at(0, n - 2) + b * at(1, n - 1) + c * at(2, n)
        if order == 1:
            first = (at(1, 2) - at(0, 1)) / d[0]
            last = (at(n - 1, n) - at(n - 2, n - 1)) / d[-1]
        else:
            x, y = d[0], d[1]
            w = (-(2.0 * x + y) / (x * (x + y)), (x + y) / (x * y), -x / (y * (x + y)))
            first = edge((0, 1, 2), w)
            x, y = d[-2], d[-1]
            w = (y / (x * (x + y)), -(y + x) / (x * y), (2.0 * y + x) / (y * (x + y)))
            last = edge((-3, -2, -1), w)
    return cast(concatenate([first, middle, last], axis), f.dtype)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """np.trapezoid: the spacing, too, may be traced."""
    y = as_array(y)
    axis = normalize_axis_index(axis, y.ndim)
    later, sooner = _steps(y, axis)
    if x is None:
        d = dx
    else:
        x = as_array(x)
        d = diff(x, axis=0 if x.ndim == 1 else axis)
        if x.ndim == 1:
            d = to_shape(d, tuple(d.size if i == axis else 1 for i in range(y.ndim)))
    return np.sum(d * (later + sooner) / 2.0, axis=axis)


_TRAPEZOID = (
    Case(((5,),)),
    Case(((3, 4), (4,))),
    Case(((3, 4),), {"dx": 0.5, "axis": 0}),
)
implements(
    *[getattr(np, name) for name in ("trapezoid", "trapz") if name in dir(np)], cases=_TRAPEZOID
)(trapezoid)


@implements(
    np.interp,
    cases=(
        Case(((4,), np.array([-1.5, -0.5, 1.0]), (3,))),
        Case((0.3, np.array([-1.0, 0.5, 1.0]), (3,)), {"left": 2.0, "right": 3.0}, "sides"),
        Case(((4,), np.array([0.2, 0.5, 0.9]), (3,)), {"period": 1.0}, "periodic"),
    ),
    kinks="at a knot the slope is that of the interval to its right; outside it is 0",
)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    x, xp = cast(as_array(x), _F8), cast(as_array(xp), _F8)
    fp = as_array(fp)
    fp = cast(fp, np.result_type(fp.dtype, _F8))
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("Data points must be 1-D sequences")
    if xp.size != fp.size:
        raise ValueError("fp and xp are not of the same length.")
    if xp.size == 0:
        raise ValueError("array of sample points is empty")
    if period is not None:
        if period == 0:
            raise ValueError("period must be a non-zero value")
        period = abs(period)
        left = right = None
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = take(xp, order), take(fp, order)
        xp = concatenate((xp[-1:] - period, xp, xp[:1] + period))
        fp = concatenate((fp[-1:], fp, fp[:1]))
    n = xp.size
    below, above = fp[0] if left is None else left, fp[-1] if right is None else right
    if n == 1:
        y = broadcast_to(fp[0], x.shape)
    else:
        j = np.minimum(np.maximum(searchsorted(xp, x, "right") - 1, 0), n - 2)
        x0, y0 = rows(xp, j, 0), rows(fp, j, 0)
        slope = (rows(fp, j + 1, 0) - y0) / (rows(xp, j + 1, 0) - x0)
        y = where(x == xp[-1], *promoted(fp[-1], slope * (x - x0) + y0))
    y = where(x < xp[0], *promoted(below, y))
    return where(x > xp[-1], *promoted(above, y))


# -- convolution ---------------------------------------------------------------------------------


def _overlap(a: Any, v: Any, mode: str) -> Any:
    """sum_k a[n + k] v[k] for all n at which they overlap as `mode` says; a is not shorter."""
    n, m = a.size, v.size
    if mode == "full":
        before, after = m - 1, m - 1
    elif mode == "same":
        before, after = m // 2, m - 1 - m // 2
    elif mode == "valid":
        before = after = 0
    else:
        raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")
    padded = np.pad(a, (before, after))
    windows = np.arange(n + before + after - m + 1)[:, None] + np.arange(m)
    return matmul(rows(padded, windows, 0), v)


def _vectors(a: Any, v: Any) -> tuple[Any, Any]:
    a, v = as_array(a), as_array(v)
    a, v = (to_shape(x, (1,)) if x.ndim == 0 else x for x in (a, v))
    if a.ndim != 1 or v.ndim != 1:
        raise ValueError("object too deep for desired array")
    if a.size == 0 or v.size == 0:
        raise ValueError("arrays cannot be empty")
    return a, v


_CONVOLVED = (
    Case(((5,), (3,))),
    Case(((5,), (2,)), {"mode": "same"}),
    Case(((2,), (5,)), {"mode": "valid"}),
)


@implements(np.convolve, cases=_CONVOLVED)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = _vectors(a, v)
    if v.size > a.size:
        a, v = v, a
    if mode == "same":
        m = v.size
        full = _overlap(a, flip(v), "full")
        return sliced(full, 0, (m - 1) // 2, (m - 1) // 2 + a.size)
    return _overlap(a, flip(v), mode)


@implements(np.correlate, cases=_CONVOLVED)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = _vectors(a, v)
    if v.dtype.kind == "c":
        v = np.conjugate(v)
    if v.size > a.size:
        return flip(_overlap(v, a, mode))
    return _overlap(a, v, mode)


# -- polynomials ---------------------------------------------------------------------------------


@implements(np.polyval, cases=(Case(((3,), (4,))), Case(((3,), ()), name="scalar")))
def polyval(p: Any, x: Any) -> Any:
    p, x = as_array(p), as_array(x)
    y: Any = np.zeros(x.shape, np.result_type(x.dtype))
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


@implements(np.polyder, cases=(Case(((4,),)), Case(((4,), 2))))
def polyder(p: Any, m: int = 1) -> Any:
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = as_array(p)
    for _ in range(int(m)):
        n = p.size - 1
        p = sliced(p, 0, 0, max(n, 0)) * np.arange(n, 0, -1)
    return p


@implements(np.polyint, cases=(Case(((3,),)), Case(((3,), 2, 0.5))))
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    p = as_array(p)
    constants = broadcast_to(as_array(0.0 if k is None else k), (int(m),))
    for i in range(int(m)):
        n = p.size
        p = concatenate((p / np.arange(n, 0, -1), to_shape(constants[i], (1,))))
    return p


def _aligned(a1: Any, a2: Any) -> tuple[Any, Any]:
    a, b = (np.atleast_1d(as_array(x)) for x in (a1, a2))
    n = max(a.size, b.size)
    return np.pad(a, (n - a.size, 0)), np.pad(b, (n - b.size, 0))


@implements(np.polyadd, cases=(Case(((2,), (4,))),))
def polyadd(a1: Any, a2: Any) -> Any:
    a, b = _aligned(a1, a2)
    return a + b


@implements(np.polysub, cases=(Case(((2,), (4,))),))
def polysub(a1: Any, a2: Any) -> Any:
    a, b = _aligned(a1, a2)
    return a - b


@implements(np.polymul, cases=(Case(((2,), (4,))),))
def polymul(a1: Any, a2: Any) -> Any:
    return convolve(a1, a2)
