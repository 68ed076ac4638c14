"""Running sums and products, and the methods of ufuncs: reduce, accumulate, outer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from jittape.errors import TraceError
from jittape.functions.keys import non_negative
from jittape.functions.reductions import (
    _UNSET,
    _summable,
    all_,
    any_,
    axes_of,
    fold,
    max_,
    min_,
    operand,
    prod,
    sum_,
)
from jittape.functions.ufuncs import finish
from jittape.ops import accumulate, reduce
from jittape.ops.declare import Case, Op
from jittape.ops.index import scatter_add
from jittape.ops.shape import reshape
from jittape.tracing.dispatch import implements
from jittape.tracing.guards import pin
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast, tracer_method

_CASES = (
    Case(((2, 3),)),
    Case(((2, 3),), {"axis": 0}),
    Case(((4,),), {"axis": -1}),
    Case(((),), name="scalar"),
    Case(((0, 2),), {"axis": 0}, "empty"),
)
_ZEROS = Case((np.array([2.0, 0.0, 3.0, 0.0, 0.5]),), name="zeros")


def running(op: Op, x: Any, axis: Any, out: Any) -> Any:
    if axis is None:
        x = reshape(x, shape=(x.size,))
        axis = 0
    elif not x.ndim:
        x = reshape(x, shape=(1,))
    (k,) = axes_of(x, axis)
    return finish(op(x, axis=k), out)


@implements(np.cumsum, cases=_CASES)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return running(accumulate.cumsum, _summable(operand(a), dtype), axis, out)


@implements(np.cumprod, cases=(*_CASES, _ZEROS), kinks=accumulate.cumprod.kinks)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return running(accumulate.cumprod, _summable(operand(a), dtype), axis, out)


def _cumulative(op: Op, start: float) -> Callable:
    def run(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None,
        include_initial: bool = False,
    ) -> Any:  # fmt: skip
        x = _summable(operand(x), dtype)
        if axis is None:
            if x.ndim > 1:
                raise ValueError("For arrays which have more than one dimension ``axis`` is needed")
            axis = 0
        value = running(op, x, axis, None)
        if include_initial:
            shape = [1 if i == axis % value.ndim else n for i, n in enumerate(value.shape)]
            value = np.concatenate([np.full(shape, start, value.dtype), value], axis=axis)
        return finish(value, out)

    return run


_NEW = (Case(((3,),)), Case(((2, 3),), {"axis": 1, "include_initial": True}))
implements(np.cumulative_sum, cases=_NEW)(_cumulative(accumulate.cumsum, 0))
implements(np.cumulative_prod, cases=_NEW)(_cumulative(accumulate.cumprod, 1))

tracer_method("cumsum")(cumsum)
tracer_method("cumprod")(cumprod)


# -- methods of ufuncs ---------------------------------------------------------------------------

_REDUCERS: dict[Any, Callable] = {
    np.add: sum_,
    np.multiply: prod,
    np.maximum: lambda a, axis, dtype, out, *rest: max_(a, axis, out, *rest),
    np.minimum: lambda a, axis, dtype, out, *rest: min_(a, axis, out, *rest),
    np.logical_or: lambda a, axis, dtype, out, keepdims, initial, where: any_(
        a, axis, out, keepdims, where=where
    ),
    np.logical_and: lambda a, axis, dtype, out, keepdims, initial, where: all_(
        a, axis, out, keepdims, where=where
    ),
}
_RUNNERS: dict[Any, Op] = {
    np.add: accumulate.cumsum,
    np.multiply: accumulate.cumprod,
    np.maximum: accumulate.cummax,
    np.minimum: accumulate.cummin,
    np.logaddexp: accumulate.cumlogsumexp,
}


@implements(
    np.ufunc.reduce,
    cases=(
        Case((np.add, (2, 3))),
        Case((np.multiply, (2, 3), 1)),
        Case((np.maximum, (2, 3)), {"axis": None}),
        Case((np.minimum, (2, 3)), {"axis": (0, 1), "keepdims": True}),
        Case((np.logaddexp, (2, 3)), {"axis": 1}),
        Case((np.hypot, (4, 2))),
        Case((np.subtract, (3,))),
    ),
    kinks="as the ufunc; ufuncs other than add, multiply, maximum, minimum, logaddexp and the "
    "logical ones are unrolled",
)
def ufunc_reduce(
    ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None,
    keepdims: bool = False, initial: Any = _UNSET, where: Any = True,
) -> Any:  # fmt: skip
    known = _REDUCERS.get(ufunc)
    if known is not None:
        return known(array, axis, dtype, out, keepdims, initial, where)
    if initial is not _UNSET or where is not True or ufunc.nin != 2:
        raise TraceError(
            f"{here()}: {ufunc.__name__}.reduce is recorded without initial= and where= only"
        )
    x = operand(array)
    x = x if dtype is None else cast(x, np.dtype(dtype))
    axes = axes_of(x, axis)
    if ufunc == np.logaddexp:
        if x.dtype.kind != "f":
            x = cast(x, np.dtype(np.float64))
        return finish(fold(reduce.logsumexp, x, axes, keepdims), out)
    return finish(_unrolled(ufunc, x, axes, keepdims)[-1], out)


def _unrolled(ufunc: np.ufunc, x: Any, axes: tuple[int, ...], keepdims: bool) -> list[Any]:
    """The running results of any ufunc along one axis, one after another."""
    if len(axes) != 1:
        raise TraceError(
            f"{here()}: {ufunc.__name__} is reduced or accumulated along one axis; reduce the axes "
            "one after another"
        )
    (k,) = axes
    lead = (slice(None),) * k
    if not x.shape[k]:
        raise ValueError(
            f"zero-size array to reduction operation {ufunc.__name__} which has no identity"
        )
    at = (lambda i: x[(*lead, slice(i, i + 1))]) if keepdims else (lambda i: x[(*lead, i)])
    results = [at(0)]
    for i in range(1, x.shape[k]):
        results.append(ufunc(results[-1], at(i)))
    return results


@implements(
    np.ufunc.accumulate,
    cases=(
        Case((np.add, (2, 3))),
        Case((np.multiply, (2, 3), 1)),
        Case((np.maximum, (5,))),
        Case((np.minimum, (2, 3)), {"axis": 1}),
        Case((np.logaddexp, (4,))),
        Case((np.subtract, (4, 2))),
    ),
    kinks="as the ufunc; ufuncs other than add, multiply, maximum, minimum and logaddexp are "
    "unrolled",
)
def ufunc_accumulate(
    ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None, out: Any = None
) -> Any:
    x = operand(array)
    known = _RUNNERS.get(ufunc)
    if ufunc in (np.add, np.multiply):
        x = _summable(x, dtype)
    elif dtype is not None:
        x = cast(x, np.dtype(dtype))
    elif ufunc == np.logaddexp and x.dtype.kind != "f":
        x = cast(x, np.dtype(np.float64))
    if known is not None and x.ndim:
        return running(known, x, axis, out)
    return finish(np.stack(_unrolled(ufunc, x, axes_of(x, axis), False), axis), out)


@implements(
    np.ufunc.outer,
    cases=(Case((np.subtract, (2,), (3,))), Case((np.multiply, (2, 2), ()), name="scalar")),
)
def ufunc_outer(ufunc: np.ufunc, a: Any, b: Any, **keywords: Any) -> Any:
    a, b = operand(a), operand(b)
    return ufunc(a.reshape((*a.shape, *(1,) * b.ndim)), b, **keywords)


@implements(
    np.ufunc.reduceat,
    cases=(
        Case((np.add, (5,), np.array([0, 2, 4]))),
        Case((np.add, (5,), np.array([3, 1, 1, 4]))),
        Case((np.add, (2, 5), np.array([0, 3])), {"axis": 1}),
        Case((np.multiply, (5,), np.array([0, 3]))),
        Case((np.maximum, (5, 2), np.array([1, 4, 0]))),
    ),
    kinks="as reduce; the positions are guarded where they are traced",
)
def ufunc_reduceat(
    ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None
) -> Any:
    x = operand(array)
    if dtype is not None:
        x = cast(x, np.dtype(dtype))
    axis = normalize_axis_index(axis, x.ndim)
    starts = np.asarray(pin(indices) if isinstance(indices, Tracer) else indices)
    n = x.shape[axis]
    starts, _ = non_negative(starts, n, axis)
    x = np.moveaxis(x, axis, 0)
    stops = np.append(starts[1:], n)
    # a slice that does not go forward is its first element
    stops = np.where(stops > starts, stops, starts + 1)
    if ufunc is np.add and x.dtype.kind in "fc":
        lengths = stops - starts
        which = np.repeat(np.arange(starts.size), lengths)
        first = np.cumsum(lengths) - lengths
        rows = np.arange(which.size) - first[which] + starts[which]
        value = scatter_add(which, x[rows], n=starts.size)
    else:
        pairs = zip(starts.tolist(), stops.tolist(), strict=True)
        value = np.stack([ufunc.reduce(x[i:j], axis=0) for i, j in pairs])
    return finish(np.moveaxis(value, 0, axis), out)
