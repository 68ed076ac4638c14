"""Padding, diagonals, triangles and grids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.gather import rows
from jittape.functions.shape import broadcast_to, moveaxis, sliced, to_shape
from jittape.ops import elementwise as e
from jittape.ops import shape as ops
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast, tracer_method

_INDEXED = ("reflect", "symmetric", "wrap")
_STATISTICS = {"mean": "mean", "median": "median", "maximum": "max", "minimum": "min"}


def _pairs(x: Any, ndim: int) -> list[tuple[Any, Any]]:
    """One (before, after) per axis, from a number, a pair or a sequence of pairs."""
    if isinstance(x, dict):
        every: list[tuple[Any, Any]] = [(0, 0)] * ndim
        for axis, width in x.items():
            every[axis] = width if isinstance(width, tuple) else (width, width)
        return every
    if isinstance(x, Tracer) or not hasattr(x, "__len__"):
        return [(x, x)] * ndim
    x = [
        item if isinstance(item, Tracer) or not hasattr(item, "__len__") else tuple(item)
        for item in x
    ]
    if len(x) == 1:
        (x,) = x
        return [x if len(x) == 2 else (x[0], x[0])] * ndim if type(x) is tuple else [(x, x)] * ndim
    if type(x[0]) is not tuple:
        return [(x[0], x[1])] * ndim
    return [p if len(p) == 2 else (p[0], p[0]) for p in x]


@implements(
    np.pad,
    cases=(
        Case(((2, 3),), {"pad_width": 1}),
        Case(((2, 3),), {"pad_width": ((0, 2), (1, 0)), "constant_values": 1.5}),
        Case(((3,),), {"pad_width": (2, 1), "mode": "edge"}),
        Case(((2, 3),), {"pad_width": ((1, 0), (2, 4)), "mode": "reflect"}),
        Case(((2, 3),), {"pad_width": 2, "mode": "symmetric"}),
        Case(((3,),), {"pad_width": (4, 2), "mode": "wrap"}),
        Case(((3,),), {"pad_width": (2, 3), "mode": "linear_ramp", "end_values": 0.5}),
        Case(((3,),), {"pad_width": 2, "mode": "mean"}),
        Case(((2, 4),), {"pad_width": 1, "mode": "median"}),
        Case(((2, 4),), {"pad_width": (1, 1), "mode": "reflect", "reflect_type": "odd"}),
        Case(((4,),), {"pad_width": (4, 2), "mode": "symmetric", "reflect_type": "odd"}),
    ),
)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    a = as_array(array)
    if isinstance(pad_width, dict):
        widths = _pairs(pad_width, a.ndim)
    else:
        widths = [(int(i), int(j)) for i, j in _pairs(pad_width, a.ndim)]
    if len(widths) != a.ndim or any(min(p) < 0 for p in widths):
        raise ValueError(f"{here()}: pad_width {pad_width} does not fit an array of {a.ndim} axes")
    if mode in ("constant", "empty"):
        return _constant(a, widths, kwargs.get("constant_values", 0))
    for axis, width in enumerate(widths):
        if width == (0, 0):
            continue
        if not a.shape[axis]:
            raise ValueError(
                f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'"
            )
        if mode == "edge":
            a = _sides(a, axis, width, *_edges(a, axis))
        elif mode in _INDEXED and kwargs.get("reflect_type", "even") == "even":
            a = rows(a, np.pad(np.arange(a.shape[axis]), width, mode=mode), axis)
        elif mode == "linear_ramp":
            a = _ramps(a, axis, width, _pairs(kwargs.get("end_values", 0), a.ndim)[axis])
        elif mode in _INDEXED[:2]:
            a = _odd(a, axis, width, mode)
        elif mode in _STATISTICS:
            stat: Any = getattr(np, _STATISTICS[mode])
            n = a.shape[axis]
            lengths = _pairs(kwargs.get("stat_length"), a.ndim)[axis]
            i, j = [n if k is None else min(int(k), n) for k in lengths]
            parts = sliced(a, axis, 0, i), sliced(a, axis, n - j, n)
            a = _sides(a, axis, width, *[stat(p, axis=axis, keepdims=True) for p in parts])
        else:
            raise TypeError(
                f"{here()}: pad with mode={mode!r} {kwargs or ''} is not recorded; use constant, "
                "edge, reflect, symmetric, wrap, linear_ramp, mean, median, maximum or minimum"
            )
    return a


def _constant(a: Any, widths: list[tuple[int, int]], values: Any) -> Any:
    shape = tuple(n + i + j for n, (i, j) in zip(a.shape, widths, strict=True))
    if not isinstance(values, Tracer) and np.all(np.asarray(values) == 0):
        index = tuple((i, 1, n) for n, (i, _) in zip(a.shape, widths, strict=True))
        return ops.place(a, shape=shape, index=index)
    for axis, (width, pair) in enumerate(zip(widths, _pairs(values, a.ndim), strict=True)):
        a = _sides(a, axis, width, *[cast(as_array(v), a.dtype) for v in pair])
    return a


def _edges(a: Any, axis: int) -> tuple[Any, Any]:
    n = a.shape[axis]
    if n == 0:
        raise ValueError(f"can't extend empty axis {axis} using modes other than 'constant'")
    return sliced(a, axis, 0, 1), sliced(a, axis, n - 1, n)


def _sides(a: Any, axis: int, width: tuple[int, int], before: Any, after: Any) -> Any:
    """a with its sides filled with broadcast values."""
    shape = list(a.shape)
    parts = []
    for value, n in ((before, width[0]), (None, 0), (after, width[1])):
        if value is None:
            parts.append(a)
        elif n:
            shape[axis] = n
            parts.append(broadcast_to(value, tuple(shape)))
    return ops.concatenate(*parts, axis=axis)


def _odd(a: Any, axis: int, width: tuple[int, int], mode: str) -> Any:
    """Twice the edge minus the mirrored elements."""
    n, own = a.shape[axis], int(mode == "symmetric")
    if max(width) >= n + own:
        raise TraceError(
            f"{here()}: pad with mode={mode!r}, reflect_type='odd' is recorded for widths below "
            f"{n + own} here; pad repeatedly"
        )
    first, last = _edges(a, axis)
    i, j = width
    before = np.flip(sliced(a, axis, 1 - own, 1 - own + i), axis)
    after = np.flip(sliced(a, axis, n - 1 + own - j, n - 1 + own), axis)
    return ops.concatenate(2 * first - before, a, 2 * last - after, axis=axis)


def _ramps(a: Any, axis: int, width: tuple[int, int], ends: tuple[Any, Any]) -> Any:
    shape = [1] * a.ndim
    parts = [a]
    for side, (n, end, edge) in enumerate(zip(width, ends, _edges(a, axis), strict=True)):
        shape[axis] = n
        weight = (np.arange(n) / max(n, 1)).reshape(shape)
        if side:
            weight = np.flip(weight, axis)
        ramp = cast(end + (edge - end) * weight, a.dtype)
        parts.insert(len(parts) if side else 0, ramp)
    return ops.concatenate(*parts, axis=axis)


# -- diagonals and triangles ---------------------------------------------------------------------


def _diagonal_of(rows: int, columns: int, offset: int) -> tuple[int, int, int]:
    """(start, step, count) of a diagonal in the flattened matrix."""
    i, j = max(-offset, 0), max(offset, 0)
    count = max(min(rows - i, columns - j), 0)
    return (i * columns + j if count else 0), columns + 1, count


@implements(
    np.diagonal,
    cases=(Case(((3, 4),)), Case(((3, 4), -1)), Case(((2, 3, 4), 1, 0, 2)), Case(((3, 2), 5))),
)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    a = as_array(a)
    if a.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    axis1, axis2 = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    if axis1 == axis2:
        raise ValueError("axis1 and axis2 cannot be the same")
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    *lead, m, n = a.shape
    flat = to_shape(a, (*lead, m * n))
    index = (*[(0, 1, k) for k in lead], _diagonal_of(m, n, offset))
    return ops.strided_slice(flat, index=index)


tracer_method("diagonal")(diagonal)
implements(np.linalg.diagonal)(lambda x, /, *, offset=0: diagonal(x, offset, -2, -1))


@implements(np.diag, cases=(Case(((3,),)), Case(((2,), -1)), Case(((3, 4), 1))))
def diag(v: Any, k: int = 0) -> Any:
    v = as_array(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    n = v.size + abs(k)
    flat = ops.place(v, shape=(n * n,), index=(_diagonal_of(n, n, k),))
    return to_shape(flat, (n, n))


@implements(np.diagflat, cases=(Case(((2, 2),)), Case(((2,), 1)), Case(((),), name="scalar")))
def diagflat(v: Any, k: int = 0) -> Any:
    v = as_array(v)
    return diag(to_shape(v, (v.size,)), k)


@implements(np.trace, cases=(Case(((3, 3),)), Case(((2, 3, 4), 1, 0, 2))))
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    if out is not None:
        raise TypeError(f"{here()}: out= of trace is not recorded; assign the result instead")
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


tracer_method("trace")(trace)
implements(np.linalg.trace)(
    lambda x, /, *, offset=0, dtype=None: trace(x, offset, -2, -1, dtype=dtype)
)


def _triangle(m: Any, k: int, lower: bool) -> Any:
    m = as_array(m)
    if m.ndim == 1:
        m = broadcast_to(m, (m.size, m.size))
    rows, columns = m.shape[-2:]
    mask = np.tri(rows, columns, k=k if lower else k - 1, dtype=bool)
    return e.where(mask if lower else ~mask, m, m.dtype.type(0))


@implements(np.tril, cases=(Case(((3, 4),)), Case(((2, 3, 3), -1)), Case(((3,),), name="vector")))
def tril(m: Any, k: int = 0) -> Any:
    return _triangle(m, k, True)


@implements(np.triu, cases=(Case(((3, 4),)), Case(((2, 3, 3), 1))))
def triu(m: Any, k: int = 0) -> Any:
    return _triangle(m, k, False)


def _corner(name: str) -> None:
    def run(arr: Any, k: int = 0) -> Any:
        a = as_array(arr)
        if a.ndim != 2:
            raise ValueError("input array must be 2-d")
        return getattr(np, name.removesuffix("_from"))(a.shape[0], k, a.shape[1])

    implements(getattr(np, name), differentiable=False)(run)


_corner("tril_indices_from")
_corner("triu_indices_from")


@implements(np.diag_indices_from, differentiable=False)
def diag_indices_from(arr: Any) -> Any:
    if arr.ndim < 2 or len(set(arr.shape)) > 1:
        raise ValueError("All dimensions of input must be of equal length")
    return np.diag_indices(arr.shape[0], arr.ndim)


# -- grids ---------------------------------------------------------------------------------------


@implements(
    np.meshgrid,
    cases=(
        Case(((3,), (2,))),
        Case(((3,), (2,), (4,)), {"indexing": "ij"}),
        Case(((3,), (2,)), {"sparse": True}),
    ),
)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple:
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    n = len(xi)
    found = []
    for i, x in enumerate(xi):
        x = as_array(x)
        place = 1 - i if indexing == "xy" and i < 2 <= n else i
        found.append(to_shape(x, tuple(x.size if k == place else 1 for k in range(n))))
    if sparse:
        return tuple(found)
    shape = np.broadcast_shapes(*[x.shape for x in found])
    return tuple(broadcast_to(x, shape) for x in found)


@implements(np.vander, cases=(Case(((3,),)), Case(((3,), 4), {"increasing": True})))
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    x = as_array(x)
    if x.ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    n = x.size if N is None else int(N)
    powers = np.arange(n) if increasing else np.arange(n)[::-1]
    return np.power(to_shape(x, (x.size, 1)), powers)
