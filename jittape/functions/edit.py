"""Elements deleted, inserted and counted, and positions as index data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from jittape.functions.creation import as_array
from jittape.functions.gather import live, rows
from jittape.functions.join import concatenate
from jittape.functions.select import choose
from jittape.functions.shape import as_shape, broadcast_to, moveaxis, ravel, sliced, to_shape
from jittape.ops import elementwise as e
from jittape.ops import index as ops
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.guards import pin
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast, tracer_method

_I8 = np.dtype(np.int64)


def _static(obj: Any) -> Any:
    """A position that shapes depend on: a traced one is pinned."""
    return pin(obj) if isinstance(obj, Tracer) else obj


@implements(
    np.delete,
    cases=(
        Case(((2, 3), 1), {"axis": 1}),
        Case(((5,),), {"obj": [0, -1]}),
        Case(((5,),), {"obj": slice(None, None, 2)}, "slice"),
    ),
)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    a = as_array(arr)
    if axis is None:
        a, axis = ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    return rows(a, np.delete(np.arange(a.shape[axis]), _static(obj)), axis)


@implements(
    np.insert,
    cases=(
        Case(((2, 3), 1, (2,)), {"axis": 1}),
        Case(((4,), 2, 1.5), name="number"),
        Case(((4,), np.array([0, 2]), (2,)), name="two"),
        Case(((2, 3), np.array([1]), (2, 1)), {"axis": 1}, "as columns"),
    ),
)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    a = as_array(arr)
    if axis is None:
        a, axis = ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    values = cast(as_array(values), a.dtype)
    n, obj = a.shape[axis], _static(obj)
    scalar = not isinstance(obj, slice) and np.ndim(obj) == 0
    if scalar and values.ndim:
        # a scalar position takes the values as one sub-array
        values = to_shape(values, (1,) * (a.ndim - values.ndim) + values.shape)
        values = moveaxis(values, 0, axis)
    # where NumPy puts what: old elements are 0.., new ones -1, -2, ...
    count = values.shape[axis] if scalar and values.ndim else None
    if count is None:  # truth values are positions up to NumPy 2.1, a mask since
        count = len(np.insert(np.arange(n), obj, 0)) - n
    order = np.insert(np.arange(n), obj, -1 - np.arange(count))
    shape = (*a.shape[:axis], count, *a.shape[axis + 1 :])
    both = concatenate([a, broadcast_to(values, shape)], axis)
    return rows(both, np.where(order < 0, n - 1 - order, order), axis)


@implements(np.resize, cases=(Case(((2, 3),), {"new_shape": (4, 2)}),))
def resize(a: Any, new_shape: Any) -> Any:
    a, shape = ravel(a), as_shape(new_shape)
    size = int(np.prod(shape))
    if a.size == 0 and size:
        return np.zeros(shape, a.dtype)
    return to_shape(rows(a, np.arange(size) % max(a.size, 1), 0), shape)


@implements(np.trim_zeros, kinks="how many zeros there are is guarded")
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    a, ends = as_array(filt), trim.lower()
    if ends not in ("fb", "bf", "f", "b"):
        raise ValueError(f"unexpected character(s) in `trim`: {ends!r}")
    axes = range(a.ndim) if axis is None else normalize_axis_tuple(axis, a.ndim)
    kept = np.argwhere(np.asarray(pin(a != 0))) if len(axes) else None
    for i in axes:
        assert kept is not None
        start, stop = (int(kept[:, i].min()), int(kept[:, i].max()) + 1) if len(kept) else (0, 0)
        empty = not len(kept)
        a = sliced(a, i, start if "f" in ends else 0, stop if empty or "b" in ends else a.shape[i])
    return a


@implements(np.unwrap, cases=(Case((np.array([0.1, 3.0, 6.2, 9.5, 0.3]),)),))
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    a = as_array(p)
    axis = normalize_axis_index(axis, a.ndim)
    step = np.diff(a, axis=axis)
    half = period / 2
    limit = half if discont is None else discont
    wrapped = np.mod(step + half, period) - half
    wrapped = np.where((wrapped == -half) & (step > 0), half, wrapped)
    correction = np.where(np.abs(step) < limit, 0.0, wrapped - step)
    first = sliced(a, axis, 0, 1)
    rest = sliced(a, axis, 1, a.shape[axis]) + np.cumsum(correction, axis=axis)
    return concatenate([first, rest], axis)


@implements(np.bincount, cases=(Case((np.array([0, 2, 2]),), {"weights": None}),))
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """The largest index is guarded, because the length depends on it; weights may be traced."""
    idx = cast(live(x), _I8)
    if idx.ndim != 1:
        raise ValueError("object too deep for desired array")
    if idx.size and np.any(idx < 0):
        raise ValueError("'list' argument must have no negative elements")
    largest = int(np.max(idx)) if idx.size else -1
    n = max(largest + 1, int(minlength))
    w = (
        np.ones(idx.shape, np.int64)
        if weights is None
        else cast(as_array(weights), np.dtype(np.float64))
    )
    if w.shape != idx.shape:
        raise ValueError("The weights and list don't have the same length.")
    return ops.scatter_add(idx, w, n=n)


@implements(
    np.unravel_index, differentiable=False, cases=(Case((np.array([5, 1]),), {"shape": (2, 3)}),)
)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple:
    idx: Any = cast(live(indices), _I8)
    dims = as_shape(shape)
    size = int(np.prod(dims))
    if isinstance(idx, Tracer):
        outside = np.any(np.logical_or(np.less(idx, 0), np.greater_equal(idx, size)))
        if outside:  # which also records the guard
            raise ValueError(f"index is out of bounds for array with size {size}")
    out = []
    for n in dims if order == "F" else dims[::-1]:
        out.append(np.remainder(idx, n))
        idx = np.floor_divide(idx, n)
    return tuple(out if order == "F" else out[::-1])


@implements(np.ravel_multi_index, differentiable=False)
def ravel_multi_index(multi_index: Any, dims: Any, mode: str = "raise", order: str = "C") -> Any:
    dims = as_shape(dims)
    if mode != "raise" or len(multi_index) != len(dims):
        raise TypeError(f"{here()}: ravel_multi_index is recorded for mode='raise' only")
    strides = np.cumprod([1, *(dims if order == "F" else dims[::-1])[:-1]])
    total: Any = None
    for k, (idx, n) in enumerate(zip(multi_index, dims, strict=True)):
        idx = cast(live(idx), _I8)
        if np.any((idx < 0) | (idx >= n)):
            raise ValueError("invalid entry in coordinates array")
        stride = strides[k] if order == "F" else strides[::-1][k]
        term = e.multiply(idx, np.int64(stride))
        total = term if total is None else e.add(total, term)
    return total


@implements(np.isin, differentiable=False, cases=(Case((np.array([1.0, 2.0]), (2,))),))
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: Any = None,
) -> Any:
    a, b = as_array(element), ravel(as_array(test_elements))
    found = np.any(np.equal(to_shape(a, (*a.shape, 1)), b), axis=-1)
    return np.logical_not(found) if invert else found


tracer_method("choose")(
    lambda self, choices, out=None, mode="raise": choose(self, choices, out, mode)
)
