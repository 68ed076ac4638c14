"""Functions that take elements by index or by mask, and those that give index data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from jittape.functions.creation import as_array, constant
from jittape.functions.keys import non_negative, positions
from jittape.functions.shape import permuted, to_shape
from jittape.ops import elementwise as e
from jittape.ops import index as ops
from jittape.ops.declare import Case
from jittape.ops.guards import guard_true
from jittape.ops.sort import searchsorted as search
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast, tracer_method

_INDEX = np.array([[1, -1], [0, 1]])


def rows(a: Any, idx: Any, axis: int) -> Any:
    """a read at non-negative int64 indices along one axis, which idx.shape replaces."""
    a = permuted(a, (axis, *[i for i in range(a.ndim) if i != axis]))
    y = ops.take(a, idx)
    k = idx.ndim
    return permuted(y, (*range(k, k + axis), *range(k), *range(k + axis, y.ndim)))


def live(indices: Any) -> Any:
    """Integer indices as an array; those the user holds are read anew at each sweep."""
    a = np.zeros(0, np.int64) if isinstance(indices, list) and not indices else as_array(indices)
    if a.dtype.kind not in "iub":
        raise TypeError(
            f"{here()}: Cannot cast array data from {a.dtype!r} to dtype('int64') according to "
            "the rule 'safe': indices must be integers"
        )
    return constant(a, live=True) if a is indices and not isinstance(a, Tracer) and a.ndim else a


def kept_inside(flat: Any, idx: Any, n: int, size: int) -> Any:
    """Positions `flat` in an array of this size, which indices 0..n-1 lead to.

    That idx are such is a guard; in a program for many elements, others lead beyond the array, so
    that the sweep raises IndexError.
    """
    if not isinstance(idx, Tracer):
        return flat
    inside = e.logical_and(e.greater_equal(idx, 0), e.less(idx, n))
    if not idx._trace.concrete:
        return e.where(inside, flat, np.int64(size))
    guard_true(np.all(inside), expected=True)
    return flat


@implements(
    np.take,
    cases=(
        Case(((3, 2), _INDEX)),
        Case(((2, 3), _INDEX), {"axis": 1}),
        Case(((3,), 1), name="scalar"),
        Case(((2, 3), np.array([0, 5, -7])), {"axis": 1, "mode": "wrap"}),
        Case(((2, 3), np.array([0, 5, -7])), {"axis": -1, "mode": "clip"}),
        Case(((3,), np.zeros(0, np.int64)), name="empty"),
    ),
)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    if out is not None:
        raise TypeError(f"{here()}: out= of take is not recorded; assign the result instead")
    a, idx = as_array(a), live(indices)
    if axis is None:
        a, axis = to_shape(a, (a.size,)), 0
    axis = normalize_axis_index(axis, a.ndim)
    n = a.shape[axis]
    if mode == "raise":
        idx, _ = non_negative(idx, n, axis)
    else:
        idx = cast(idx, np.dtype(np.int64))
        if n == 0 and idx.size:
            raise IndexError("cannot do a non-empty take from an empty axes.")
        idx = np.remainder(idx, n) if mode == "wrap" else np.minimum(np.maximum(idx, 0), n - 1)
    return rows(a, idx, axis)


@tracer_method("take")
def _take(
    self: Tracer, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise"
) -> Any:
    return take(self, indices, axis, out, mode)


def along(a: Any, idx: Any, axis: int, exact: bool = True) -> Any:
    """Elements at non-negative indices along an axis, other axes running in parallel. exact: they
    are known to lie inside."""
    shape = a.shape
    given = idx
    strides = [int(np.prod(shape[i + 1 :])) for i in range(a.ndim)]
    offsets = np.zeros((1,) * a.ndim, np.int64)
    for i, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        if i != axis:
            line = np.arange(n).reshape([-1 if j == i else 1 for j in range(a.ndim)])
            offsets = offsets + line * stride
    if strides[axis] != 1:
        idx = e.multiply(idx, np.int64(strides[axis]))
    if a.size > shape[axis]:
        idx = e.add(idx, offsets)
    if not exact:
        idx = kept_inside(idx, given, shape[axis], a.size)
    return ops.take(to_shape(a, (a.size,)), idx)


@implements(
    np.take_along_axis,
    cases=(
        Case(((2, 3), np.array([[0, -1], [2, 0]])), {"axis": 1}),
        Case(((2, 3), np.array([[1, 0, 1]]), 0)),
        Case(((2, 3), np.array([5, 0])), {"axis": None}, "flattened"),
    ),
)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    a, idx = as_array(arr), live(indices)
    if axis is None:
        if idx.ndim != 1:
            raise ValueError("when axis=None, `indices` must have a single dimension.")
        a, axis = to_shape(a, (a.size,)), 0
    axis = normalize_axis_index(axis, a.ndim)
    if idx.ndim != a.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    if idx.dtype.kind == "b":
        raise IndexError("`indices` must be an integer array")
    idx, exact = non_negative(idx, a.shape[axis], axis)
    return along(a, idx, axis, exact or a.ndim == 1)


@implements(
    np.compress,
    cases=(Case((np.array([True, False, True]), (3, 2), 0)), Case((np.array([0, 1, 1]), (2, 2)))),
)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    if out is not None:
        raise TypeError(f"{here()}: out= of compress is not recorded; assign the result instead")
    a, mask = as_array(a), truth(live_mask(condition))
    if mask.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    if axis is None:
        a, axis = to_shape(a, (a.size,)), 0
    idx, _ = non_negative(positions(mask), a.shape[axis], axis)
    return rows(a, idx, normalize_axis_index(axis, a.ndim))


@tracer_method("compress")
def _compress(self: Tracer, condition: Any, axis: Any = None, out: Any = None) -> Any:
    return compress(condition, self, axis, out)


def live_mask(mask: Any) -> Any:
    """A condition as an array, which a replay reads anew where the user holds it."""
    a = as_array(mask)
    return constant(a, live=True) if a is mask and not isinstance(a, Tracer) and a.ndim else a


def truth(a: Any) -> Any:
    """a as booleans."""
    return a if a.dtype.kind == "b" else np.not_equal(a, 0)


@implements(np.extract, cases=(Case((np.array([True, False, True]), (3,))),))
def extract(condition: Any, arr: Any) -> Any:
    a, mask = as_array(arr), truth(live_mask(condition))
    return take(to_shape(a, (a.size,)), positions(mask))


@implements(np.flatnonzero, differentiable=False, cases=(Case(((2, 3),)),))
def flatnonzero(a: Any) -> Any:
    return positions(truth(as_array(a)))


@implements(np.nonzero, differentiable=False, cases=(Case(((2, 3),)), Case(((0,),), name="empty")))
def nonzero(a: Any) -> tuple:
    a = as_array(a)
    if a.ndim == 0:
        raise ValueError("Calling nonzero on 0d arrays is not allowed.")
    found = positions(truth(a))
    out = []
    for i, n in enumerate(a.shape):
        stride = int(np.prod(a.shape[i + 1 :]))
        k = found if stride <= 1 else np.floor_divide(found, stride)
        out.append(np.remainder(k, n) if i and n else k)
    return tuple(out)


tracer_method("nonzero")(nonzero)


@implements(np.argwhere, differentiable=False, cases=(Case(((2, 3),)),))
def argwhere(a: Any) -> Any:
    a = as_array(a)
    if a.ndim == 0:
        return argwhere(to_shape(a, (1,)))[:, :0]
    return np.stack(nonzero(a), axis=1)


@implements(
    np.searchsorted,
    differentiable=False,
    cases=(Case((np.array([-1.0, 0.0, 1.0]), (4,))), Case(((3,), 0.5), {"side": "right"})),
)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    a, v = as_array(a), as_array(v)
    if a.ndim != 1:
        raise ValueError("object too deep for desired array")
    if side not in ("left", "right"):
        raise ValueError(f"search side must be 'left' or 'right' (got {side!r})")
    if sorter is not None:
        a = take(a, sorter)
    return search(a, v, side=side)


tracer_method("searchsorted")(searchsorted)


@implements(
    np.digitize,
    differentiable=False,
    cases=(
        Case(((4,), np.array([-1.0, 0.0, 1.0]))),
        Case(((4,), np.array([1.0, 0.0, -1.0])), {"right": True}),
    ),
)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    x, bins = as_array(x), as_array(bins)
    if x.dtype.kind == "c":
        raise TypeError("x may not be complex")
    side = "left" if right else "right"
    steps = np.diff(bins)
    if bool(np.all(steps >= 0)):
        return searchsorted(bins, x, side)
    if not bool(np.all(steps <= 0)):
        raise ValueError("bins must be monotonically increasing or decreasing")
    other = "right" if right else "left"
    return np.subtract(len(bins), searchsorted(np.flip(bins), x, other))


@implements(np.put_along_axis, differentiable=False)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    idx = live(indices)
    if axis is None:
        arr.reshape(-1)[idx] = values
        return
    axis = normalize_axis_index(axis, arr.ndim)
    key: list[Any] = []
    for i, n in enumerate(arr.shape):
        shape = [-1 if j == i else 1 for j in range(arr.ndim)]
        key.append(idx if i == axis else np.arange(n).reshape(shape))
    arr[tuple(key)] = values


@implements(np.ix_, differentiable=False)
def ix_(*args: Any) -> tuple:
    out = []
    for k, a in enumerate(args):
        a = as_array(a)
        if a.ndim != 1:
            raise ValueError("Cross index must be 1 dimensional")
        if a.dtype.kind == "b":
            a = positions(a)
        out.append(to_shape(a, (1,) * k + a.shape + (1,) * (len(args) - k - 1)))
    return tuple(out)


@implements(
    np.lib.stride_tricks.sliding_window_view,
    cases=(
        Case(((5,), 3)),
        Case(((3, 4),), {"window_shape": (2, 2)}),
        Case(((3, 4), 2), {"axis": 1}),
    ),
)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    x = as_array(x)
    windows = window_shape if isinstance(window_shape, (tuple, list)) else (window_shape,)
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    if len(axes) != len(windows):
        raise ValueError("Since axis is None, must provide window_shape for all dimensions of `x`")
    for i, width in zip(axes, windows, strict=True):
        if width < 0 or width > x.shape[i]:
            raise ValueError("window shape cannot be larger than input array shape")
        idx = np.arange(x.shape[i] - width + 1)[:, None] + np.arange(width)
        x = np.moveaxis(rows(x, idx, i), i + 1, -1)
    return x
