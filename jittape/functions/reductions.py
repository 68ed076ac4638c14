"""Sums, products, extrema, means and their kin along axes, as functions and as methods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from jittape.errors import TraceError
from jittape.functions.ufuncs import condition, finish
from jittape.ops import complexes, reduce
from jittape.ops import elementwise as e
from jittape.ops.declare import Case, Op
from jittape.ops.shape import reshape
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, as_operand, cast, tracer_method

_UNSET: Any = np._NoValue  # type: ignore[attr-defined]
_MASK = np.array([[True, False, True], [False, True, True]])

CASES = (
    Case(((2, 3),)),
    Case(((2, 3, 4),), {"axis": (0, -1)}, "two axes"),
    Case(((2, 3),), {"axis": -1, "keepdims": True}, "keepdims"),
    Case(((2, 3),), {"axis": 0}, "first axis"),
    Case(((),), name="scalar"),
)
_EMPTY = Case(((0, 3),), {"axis": 0}, "empty")
_WHERE = Case(((2, 3),), {"axis": 1, "where": _MASK}, "where")


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    """`axis` as sorted non-negative axes; raises as NumPy does where one does not exist."""
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    out = []
    for a in given:
        a = int(a)
        if not -max(x.ndim, 1) <= a < max(x.ndim, 1):
            raise np.exceptions.AxisError(a, x.ndim)
        if x.ndim:
            out.append(a % x.ndim)
    if len(set(out)) != len(out):
        raise ValueError("duplicate value in 'axis'")
    return tuple(sorted(out))


def operand(x: Any) -> Any:
    """x as a tracer or array."""
    x = as_operand(x)
    return x if isinstance(x, Tracer) else np.asarray(x)


def fold(op: Op, x: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    value = op(x, axes=axes)
    if keepdims is not _UNSET and keepdims and axes:
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        value = reshape(value, shape=kept)
    return value


def _given(v: Any) -> bool:
    return v is not _UNSET and v is not None


def _summable(x: Any, dtype: Any) -> Any:
    """x at the dtype that NumPy sums and multiplies in."""
    if _given(dtype):
        return cast(x, np.dtype(dtype))
    if x.dtype.kind in "biu" and x.dtype.itemsize < 8:
        return cast(x, np.dtype(np.uint64 if x.dtype.kind == "u" else np.int64))
    return x


def _masked(x: Any, where: Any, neutral: Any) -> Any:
    if where is True or where is _UNSET:
        return x
    return e.where(condition(where), x, np.asarray(neutral).astype(x.dtype)[()])


def _fold_numbers(
    op: Op, neutral: float, combine: Op, x: Any, axis: Any, dtype: Any, out: Any,
    keepdims: Any, initial: Any, where: Any,
) -> Any:  # fmt: skip
    x = _masked(_summable(operand(x), dtype), where, neutral)
    value = fold(op, x, axes_of(x, axis), keepdims)
    if _given(initial):
        value = combine(value, initial)
    return finish(value, out)


@implements(np.sum, cases=(*CASES, _EMPTY, _WHERE, Case(((3,),), {"initial": 2.0}, "initial")))
def sum_(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _UNSET,
    initial: Any = _UNSET, where: Any = True,
) -> Any:  # fmt: skip
    return _fold_numbers(reduce.sum, 0, e.add, a, axis, dtype, out, keepdims, initial, where)


@implements(
    np.prod,
    cases=(
        *CASES,
        _EMPTY,
        _WHERE,
        Case((np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 0.5]]),), {"axis": 1}, "zeros"),
    ),
    kinks=reduce.prod.kinks,
)
def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _UNSET,
    initial: Any = _UNSET, where: Any = True,
) -> Any:  # fmt: skip
    return _fold_numbers(reduce.prod, 1, e.multiply, a, axis, dtype, out, keepdims, initial, where)


def _extremum(op: Op, combine: Op, low: bool) -> Any:
    def run(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = _UNSET,
        initial: Any = _UNSET, where: Any = True,
    ) -> Any:  # fmt: skip
        x = operand(a)
        if where is not True and where is not _UNSET:
            if not _given(initial):
                raise ValueError(
                    f"reduction operation {op.name!r} does not have an identity, so to use a "
                    "where mask one has to specify 'initial'"
                )
            x = e.where(condition(where), x, _limit(x.dtype, low))
        axes = axes_of(x, axis)
        if _given(initial) and any(x.shape[i] == 0 for i in axes):
            shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
            return finish(np.full(shape, initial, x.dtype), out)
        value = fold(op, x, axes, keepdims)
        if _given(initial):
            value = combine(value, initial)
        return finish(value, out)

    return run


def _limit(dtype: np.dtype, low: bool) -> Any:
    """The neutral element of max (low) or min."""
    if dtype.kind == "f":
        return dtype.type(-np.inf if low else np.inf)
    if dtype.kind == "b":
        return np.bool_(not low)
    if dtype.kind == "c":
        raise TraceError(f"{here()}: max and min with where= are not recorded for complex numbers")
    return dtype.type(np.iinfo(dtype).min if low else np.iinfo(dtype).max)


_EXTREMA = (*CASES, Case(((2, 3),), {"axis": 1, "initial": 0.5, "where": _MASK}, "where"))
max_ = implements(np.max, np.amax, cases=_EXTREMA, kinks=reduce.max.kinks)(
    _extremum(reduce.max, e.maximum, True)
)
min_ = implements(np.min, np.amin, cases=_EXTREMA, kinks=reduce.min.kinks)(
    _extremum(reduce.min, e.minimum, False)
)


@implements(np.ptp, cases=CASES, kinks=reduce.max.kinks)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = _UNSET) -> Any:
    value = max_(a, axis, None, keepdims) - min_(a, axis, None, keepdims)
    return finish(value, out)


# -- logic ---------------------------------------------------------------------------------------


def _logical(op: Op, neutral: bool) -> Any:
    def run(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = _UNSET, *, where: Any = True
    ) -> Any:
        x = condition(a)
        x = _masked(x, where, neutral)
        return finish(fold(op, x, axes_of(x, axis), keepdims), out)

    return run


any_ = implements(np.any, cases=(*CASES, _EMPTY, _WHERE), differentiable=False)(
    _logical(reduce.any, False)
)
all_ = implements(np.all, cases=(*CASES, _EMPTY, _WHERE), differentiable=False)(
    _logical(reduce.all, True)
)


@implements(np.count_nonzero, cases=(*CASES[:4], _EMPTY), differentiable=False)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    x = cast(condition(a), np.dtype(np.int64))
    return fold(reduce.sum, x, axes_of(x, axis), keepdims)


def _positions(op: Op) -> Any:
    def run(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _UNSET) -> Any:
        x = operand(a)
        if axis is None:
            flat = reshape(x, shape=(x.size,))
            value = op(flat, axis=0)
            kept = (1,) * x.ndim
        else:
            (k,) = axes_of(x, axis) if x.ndim else (0,)
            value = op(x if x.ndim else reshape(x, shape=(1,)), axis=k)
            kept = tuple(1 if i == k else n for i, n in enumerate(x.shape))
        if _given(keepdims) and keepdims:
            value = reshape(value, shape=kept)
        return finish(value, out)

    return run


_ARG_CASES = (
    Case(((2, 3),)),
    Case(((2, 3),), {"axis": -1, "keepdims": True}),
    Case(((),), name="scalar"),
)
argmax = implements(np.argmax, cases=_ARG_CASES, differentiable=False)(_positions(reduce.argmax))
argmin = implements(np.argmin, cases=_ARG_CASES, differentiable=False)(_positions(reduce.argmin))


# -- moments -------------------------------------------------------------------------------------


def _real_size(x: Any, axes: tuple[int, ...], where: Any, keepdims: Any) -> Any:
    """How many elements go into each result: an int, or a traced or concrete array with where=."""
    if where is True or where is _UNSET:
        return math.prod(x.shape[i] for i in axes)
    mask = condition(where)
    counted = np.broadcast_to(mask, x.shape)
    return fold(reduce.sum, cast(counted, np.dtype(np.int64)), axes, keepdims)


def _inexact(x: Any, dtype: Any) -> Any:
    if _given(dtype):
        return cast(x, np.dtype(dtype))
    return x if x.dtype.kind in "fc" else cast(x, np.dtype(np.float64))


def _divided(total: Any, count: Any) -> Any:
    """total / count at the dtype of total."""
    scalar = total.dtype.type(0).real.dtype
    return total / (scalar.type(count) if isinstance(count, int) else cast(count, scalar))


@implements(np.mean, cases=(*CASES, _WHERE))
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = _UNSET, *,
    where: Any = True,
) -> Any:  # fmt: skip
    x = _inexact(operand(a), dtype)
    axes = axes_of(x, axis)
    count = _real_size(x, axes, where, keepdims)
    value = _divided(fold(reduce.sum, _masked(x, where, 0), axes, keepdims), count)
    return finish(value, out)


_MOMENTS = (
    *CASES,
    Case(((4, 3),), {"axis": 0, "ddof": 1}, "ddof"),
    Case(((2, 3),), {"axis": 1, "where": _MASK}, "where"),
)


@implements(np.var, cases=_MOMENTS)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0,
    keepdims: Any = _UNSET, *, where: Any = True, mean: Any = _UNSET, correction: Any = _UNSET,
) -> Any:  # fmt: skip
    if correction is not _UNSET:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    x = operand(a)
    keeps_complex = x.dtype.kind != "c" and _given(dtype) and np.dtype(dtype).kind == "c"
    x = _inexact(x, dtype)
    axes = axes_of(x, axis)
    if _given(mean):
        centre = mean
    else:
        total = fold(reduce.sum, _masked(x, where, 0), axes, True)
        centre = _divided(total, _real_size(x, axes, where, True))
    deviation = x - centre
    if deviation.dtype.kind == "c":
        parts = complexes.real(deviation), complexes.imag(deviation)
        squares = e.square(parts[0]) + e.square(parts[1])
    else:
        squares = e.square(deviation)
    count = _real_size(x, axes, where, keepdims)
    if isinstance(count, int):
        free: Any = float(max(count - ddof, 0))
        value = fold(reduce.sum, squares, axes, keepdims) / squares.dtype.type(free)
    else:
        total = fold(reduce.sum, _masked(squares, where, 0), axes, keepdims)
        value = total / cast(e.maximum(count - ddof, 0), squares.dtype)
    if keeps_complex:  # asked for by dtype=; the variance of complex numbers is real
        value = cast(value, np.dtype(dtype))
    return finish(value, out)


def root(v: Any) -> Any:
    """The square root, with derivative 0 at 0 (of a norm or a standard deviation)."""
    zero = e.equal(v, 0)
    return e.where(zero, v, e.sqrt(e.where(zero, v.dtype.type(1), v)))


@implements(np.std, cases=_MOMENTS[:4] + _MOMENTS[5:], kinks="gradient 0 at variance 0")
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0,
    keepdims: Any = _UNSET, *, where: Any = True, mean: Any = _UNSET, correction: Any = _UNSET,
) -> Any:  # fmt: skip
    v = var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    # at variance 0 the derivative by the variance is inf, that by the values is taken as 0
    return finish(root(v), out)


@implements(
    np.average,
    cases=(
        Case(((2, 3),)),
        Case(((2, 3),), {"axis": 1, "weights": np.array([0.2, 0.5, 0.4])}, "weights"),
        Case(((2, 3),), {"weights": _MASK + 0.5, "returned": True}, "returned"),
        Case(
            ((2, 3, 2),),
            {"axis": (1, 0), "weights": np.array([[0.2, 0.5], [1.0, 2.0], [0.1, 0.3]])},
            "axes in another order",
        ),
    ),
)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *,
    keepdims: Any = _UNSET,
) -> Any:  # fmt: skip
    x = operand(a)
    if weights is None:
        value = mean(x, axis, keepdims=keepdims)
        total: Any = x.size / max(value.size, 1)
    else:
        axes, w = axes_of(x, axis), _weights(x, axis, operand(weights))
        dtype = np.result_type(x.dtype, w.dtype, *([np.float64] if x.dtype.kind in "iub" else []))
        spread = np.broadcast_to(cast(w, dtype), x.shape)
        total = fold(reduce.sum, operand(spread), axes, keepdims)
        if not isinstance(total, Tracer) or total._trace.concrete:
            if np.any(total == 0.0):  # a guard, where weights are traced
                raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        value = fold(reduce.sum, cast(x, dtype) * cast(w, dtype), axes, keepdims) / total
    if not returned:
        return value
    ones = np.ones(value.shape, value.dtype)
    return value, total * ones


def _weights(x: Any, axis: Any, w: Any) -> Any:
    """Weights of an average, such that they broadcast against x."""
    if w.shape == x.shape:
        return w
    if axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    # the axes of the weights are those named by axis, in its order
    order = normalize_axis_tuple(axis, x.ndim)
    if w.shape != tuple(x.shape[i] for i in order):
        raise ValueError(
            "Shape of weights must be consistent with shape of a along specified axis."
        )
    kept = [n if i in order else 1 for i, n in enumerate(x.shape)]
    return np.transpose(w, np.argsort(order)).reshape(kept)


# -- methods -------------------------------------------------------------------------------------

for _name, _function in {
    "sum": sum_, "prod": prod, "max": max_, "min": min_, "mean": mean, "var": var, "std": std,
    "any": any_, "all": all_, "argmax": argmax, "argmin": argmin,
}.items():  # fmt: skip
    tracer_method(_name)(_function)


@tracer_method("__contains__")
def contains(self: Tracer, element: Any) -> bool:
    return bool(any_(e.equal(self, element)))
