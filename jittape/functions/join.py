"""Joining and splitting arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from jittape.functions.creation import as_array, numeric
from jittape.functions.shape import (
    as_shape,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    moveaxis,
    sliced,
    to_shape,
)
from jittape.ops import shape as ops
from jittape.ops.declare import Case
from jittape.ops.reduce import broadcast_to
from jittape.ops.stack import stack as stacked
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast, tracer_method

_TWO = Case(([(2, 3), (2, 3)],))


def _common(arrays: Any, dtype: Any, out: Any) -> list[Any]:
    """These arrays with one dtype."""
    if out is not None:
        raise TypeError(f"{here()}: out= is not recorded here; assign the result instead")
    found = [as_array(a) for a in arrays]
    if not found:
        raise ValueError("need at least one array to concatenate")
    if dtype is None:
        dtype = np.result_type(*[a.dtype for a in found])
    return [cast(a, numeric(dtype)) for a in found]


@implements(
    np.concatenate,
    cases=(
        Case(([(2, 3), (1, 3)],)),
        Case(([(2, 3), (2, 1)],), {"axis": -1}),
        Case(([(2, 3), ()],), {"axis": None}, "flattened"),
        Case(([(2,), (0,)],), name="empty"),
    ),
)
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    found = _common(arrays, dtype, out)
    if axis is None:
        found = [to_shape(a, (a.size,)) for a in found]
        axis = 0
    ndim = found[0].ndim
    if ndim == 0:
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = normalize_axis_index(axis, ndim)
    rest = found[0].shape[:axis] + found[0].shape[axis + 1 :]
    for i, a in enumerate(found):
        if a.ndim != ndim or a.shape[:axis] + a.shape[axis + 1 :] != rest:
            raise ValueError(
                f"{here()}: all the input array dimensions except for the concatenation axis must "
                f"match exactly, but the array at index 0 has shape {found[0].shape} and the "
                f"array at index {i} has shape {a.shape}"
            )
    return found[0] if len(found) == 1 else ops.concatenate(*found, axis=axis)


@implements(
    np.stack, cases=(_TWO, Case(([(2, 3), (2, 3)],), {"axis": -1}), Case(([(), ()],), name="0-d"))
)
def stack(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    found = _common(arrays, dtype, out)
    if len({a.shape for a in found}) > 1:
        raise ValueError("all input arrays must have the same shape")
    axis = normalize_axis_index(axis, found[0].ndim + 1)
    if axis == 0:
        return stacked(*found)
    shape = found[0].shape
    return ops.concatenate(
        *[ops.reshape(a, shape=(*shape[:axis], 1, *shape[axis:])) for a in found], axis=axis
    )


def _all(f: Any, arrays: Any) -> list[Any]:
    found = [f(a) for a in arrays]
    if not found:
        raise ValueError("need at least one array to concatenate")
    return found


@implements(np.vstack, cases=(Case(([(3,), (3,)],)), _TWO))
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return concatenate(_all(atleast_2d, tup), 0, dtype=dtype)


@implements(np.hstack, cases=(Case(([(3,), (2,)],)), _TWO, Case(([(), ()],), name="0-d")))
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    found = _all(atleast_1d, tup)
    return concatenate(found, 0 if found[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack, cases=(Case(([(3,), (3,)],)), _TWO))
def dstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return concatenate(_all(atleast_3d, tup), 2, dtype=dtype)


@implements(np.column_stack, cases=(Case(([(3,), (3, 2)],)),))
def column_stack(tup: Any) -> Any:
    found = [as_array(a) for a in tup]
    return concatenate([to_shape(a, (a.size, 1)) if a.ndim < 2 else a for a in found], 1)


@implements(np.block, cases=(Case(([[(2, 2), (2, 1)], [(1, 2), (1, 1)]],)), Case(([(2,), (3,)],))))
def block(arrays: Any) -> Any:
    depth = _depth(arrays)
    ndim = max(depth, _ndim(arrays))

    def build(x: Any, level: int) -> Any:
        if isinstance(x, list):
            return concatenate([build(item, level + 1) for item in x], level - depth)
        a = as_array(x)
        return to_shape(a, (1,) * (ndim - a.ndim) + a.shape)

    return build(arrays, 0)


def _depth(x: Any) -> int:
    if isinstance(x, tuple):
        raise TypeError("arrays is a tuple. Only lists can be used to arrange blocks")
    if not isinstance(x, list):
        return 0
    if not x:
        raise ValueError("List at arrays cannot be empty")
    depths = {_depth(item) for item in x}
    if len(depths) > 1:
        raise ValueError("List depths are mismatched")
    return 1 + depths.pop()


def _ndim(x: Any) -> int:
    return max(map(_ndim, x)) if isinstance(x, list) else as_array(x).ndim


@implements(
    np.append, cases=(Case(((2, 3), (2,))), Case(((2, 3), (1, 3)), {"axis": 0}), Case(((2,), ())))
)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate((arr, values), axis)


# -- splitting -----------------------------------------------------------------------------------


def _split_at(a: Any, points: Sequence[int], axis: int) -> list[Any]:
    n = a.shape[axis]
    # as the slices a[i:j] do it, with points out of range or out of order
    ends = [0, *points, n]
    out = []
    for i, j in zip(ends[:-1], ends[1:], strict=True):
        start, stop, _ = slice(i, j).indices(n)
        out.append(sliced(a, axis, start, max(start, stop)))
    return out


@implements(
    np.array_split,
    cases=(Case(((7,), 3)), Case(((2, 5),), {"indices_or_sections": [1, 3], "axis": 1})),
)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    a = as_array(ary)
    axis = normalize_axis_index(axis, a.ndim)
    if np.ndim(indices_or_sections):
        return _split_at(a, as_shape(indices_or_sections), axis)
    sections = int(indices_or_sections)
    if sections <= 0:
        raise ValueError("number sections must be larger than 0.")
    each, extra = divmod(a.shape[axis], sections)
    sizes = [each + 1] * extra + [each] * (sections - extra)
    return _split_at(a, np.cumsum(sizes)[:-1].tolist(), axis)


@implements(np.split, cases=(Case(((6,), 3)), Case(((5, 2),), {"indices_or_sections": (2, 3)})))
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    a = as_array(ary)
    if not np.ndim(indices_or_sections) and a.shape[axis] % int(indices_or_sections):
        raise ValueError("array split does not result in an equal division")
    return array_split(a, indices_or_sections, axis)


def _split_along(name: str, least: int, axis: int) -> Any:
    def run(ary: Any, indices_or_sections: Any) -> list[Any]:
        a = as_array(ary)
        if a.ndim < least:
            raise ValueError(f"{name} only works on arrays of {least} or more dimensions")
        return split(a, indices_or_sections, 0 if name == "hsplit" and a.ndim == 1 else axis)

    run.__name__ = name
    return run


implements(np.vsplit, cases=(Case(((4, 2), 2)),))(_split_along("vsplit", 2, 0))
implements(np.hsplit, cases=(Case(((2, 4), 2)), Case(((4,), 2))))(_split_along("hsplit", 1, 1))
implements(np.dsplit, cases=(Case(((2, 1, 4), 2)),))(_split_along("dsplit", 3, 2))


@implements(np.unstack, cases=(Case(((2, 3),)), Case(((2, 3),), {"axis": 1})))
def unstack(x: Any, /, *, axis: int = 0) -> tuple:
    return tuple(moveaxis(as_array(x), axis, 0))


# -- repeating -----------------------------------------------------------------------------------


@implements(
    np.tile,
    cases=(
        Case(((3,), 2)),
        Case(((2, 3),), {"reps": (2, 1, 2)}),
        Case(((2, 3),), {"reps": (0,)}, "empty"),
    ),
)
def tile(A: Any, reps: Any) -> Any:
    a, times = as_array(A), as_shape(reps)
    ndim = max(a.ndim, len(times))
    shape = (1,) * (ndim - a.ndim) + a.shape
    times = (1,) * (ndim - len(times)) + times
    spread = ops.reshape(a, shape=tuple(m for n in shape for m in (1, n)))
    pairs = tuple(m for n, k in zip(shape, times, strict=True) for m in (k, n))
    repeated = broadcast_to(spread, shape=pairs)
    return to_shape(repeated, tuple(n * k for n, k in zip(shape, times, strict=True)))


@implements(
    np.repeat,
    cases=(
        Case(((2, 3), 2)),
        Case(((2, 3), 2), {"axis": 1}),
        Case(((3,),), {"repeats": [1, 0, 2]}, "counts"),
        Case(((2, 3),), {"repeats": [2, 1], "axis": 0}),
    ),
)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    a = as_array(a)
    if axis is None:
        a, axis = to_shape(a, (a.size,)), 0
    axis = normalize_axis_index(axis, a.ndim)
    counts = as_shape(repeats)
    if len(counts) == 1:
        k, shape = counts[0], a.shape
        a = ops.reshape(a, shape=(*shape[: axis + 1], 1, *shape[axis + 1 :]))
        a = broadcast_to(a, shape=(*shape[: axis + 1], k, *shape[axis + 1 :]))
        return ops.reshape(a, shape=(*shape[:axis], shape[axis] * k, *shape[axis + 1 :]))
    return np.take(a, np.repeat(np.arange(a.shape[axis]), counts), axis=axis)


@tracer_method("repeat")
def _repeat(self: Tracer, repeats: Any, axis: Any = None) -> Any:
    return repeat(self, repeats, axis)
