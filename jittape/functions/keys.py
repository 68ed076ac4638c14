"""Keys: what x[key] selects, split into a strided slice and rows taken at integer indices."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from jittape.functions.creation import as_array, constant
from jittape.functions.shape import to_shape
from jittape.ops import elementwise as e
from jittape.ops import index as ops
from jittape.ops.reduce import sum as sum_of
from jittape.tracing.guards import pin
from jittape.tracing.recorder import here, is_frozen, open_traces
from jittape.tracing.tracer import Tracer, cast, value_of

_I8 = np.dtype(np.int64)


class Rows(NamedTuple):
    """An advanced index on one axis of the sliced array.

    idx: int64, tracer or array. exact: known to lie in 0..n-1. unique: no index occurs twice.
    """

    axis: int
    idx: Any
    exact: bool
    unique: bool


class Plan(NamedTuple):
    """What a key does to an array of a given shape.

    slices: (start, step, count) per axis of the array. shape: what the slice is reshaped to.
    rows: advanced indices on axes of that shape. front: whether their common axes come first in
    the result; else they take the place of the first of them.
    """

    slices: tuple[tuple[int, int, int], ...]
    shape: tuple[int, ...]
    rows: tuple[Rows, ...]
    front: bool


def _is_int(k: Any) -> bool:
    """An integer that is known now. (A traced one is read on the tape, unlike __index__.)"""
    if isinstance(k, Tracer):
        return False
    if isinstance(k, np.ndarray):
        return k.ndim == 0 and k.dtype.kind in "iu"
    return hasattr(k, "__index__")


def plan(shape: tuple[int, ...], key: Any) -> Plan:
    """The plan of a key; raises IndexError as NumPy does."""
    entries = _entries(shape, key)
    advanced = any(kind == "rows" for kind, _, _ in entries)
    slices: list[tuple[int, int, int]] = []
    result: list[int] = []
    rows: list[Rows] = []
    places: list[int] = []
    axis = 0
    for position, (kind, k, consumed) in enumerate(entries):
        if kind == "new":
            result.append(1)
        elif kind == "int":
            n = shape[axis]
            i = in_range(k.__index__() if not isinstance(k, np.ndarray) else int(k), n, axis)
            if advanced:
                # an integer beside arrays broadcasts with them
                rows.append(Rows(len(result), np.int64(0), True, True))
                places.append(position)
                result.append(1)
            slices.append((i, 1, 1))
        elif kind == "slice":
            start, stop, step = k.indices(shape[axis])
            count = len(range(start, stop, step))
            slices.append((start if count else 0, step, count))
            result.append(count)
        elif kind == "rows":
            dims = shape[axis : axis + consumed]
            slices += [(0, 1, n) for n in dims]
            rows.append(_rows(k, len(result), dims, axis))
            places.append(position)
            result.append(prod(dims))
        axis += consumed
    front = any(b - a > 1 for a, b in zip(places[:-1], places[1:], strict=True))
    return Plan(tuple(slices), tuple(result), tuple(rows), front)


def _entries(shape: tuple[int, ...], key: Any) -> list[tuple[str, Any, int]]:
    """(kind, entry, axes consumed) for each part of the key, with the Ellipsis spelled out."""
    keys = key if isinstance(key, tuple) else (key,)
    found: list[tuple[str, Any, int]] = []
    ellipsis = None
    for k in keys:
        if k is None:
            found.append(("new", k, 0))
        elif k is Ellipsis:
            if ellipsis is not None:
                raise IndexError("an index can only have a single ellipsis ('...')")
            ellipsis = len(found)
            found.append(("ellipsis", k, 0))
        elif isinstance(k, slice):
            found.append(("slice", k, 1))
        elif _is_int(k) and not isinstance(k, (bool, np.bool_)):
            found.append(("int", k, 1))
        else:
            a = _index_array(k)
            found.append(("rows", a, a.ndim if a.dtype.kind == "b" else 1))
    missing = len(shape) - sum(n for _, _, n in found)
    if missing < 0:
        raise IndexError(
            f"{here()}: too many indices for array: array is {len(shape)}-dimensional, but "
            f"{len(shape) - missing} were indexed"
        )
    every: list[tuple[str, Any, int]] = [("slice", slice(None), 1)] * missing
    if ellipsis is None:
        return found + every
    # an empty Ellipsis still separates the arrays on its two sides
    return found[:ellipsis] + (every or [("ellipsis", None, 0)]) + found[ellipsis + 1 :]


def _index_array(k: Any) -> Any:
    if isinstance(k, (list, tuple)) and not len(k):
        return np.zeros(0, np.int64)
    a = as_array(k)
    if a.dtype.kind not in "iub":
        raise IndexError(
            f"{here()}: arrays used as indices must be of integer (or boolean) type, not {a.dtype}"
        )
    # an index array of the user's is read anew at each sweep
    plain = isinstance(k, np.ndarray) and not isinstance(k, Tracer)
    if plain and k.ndim and open_traces() and not is_frozen(a):
        return constant(k, live=True)
    return a


def in_range(i: int, n: int, axis: int) -> int:
    if not -n <= i < n:
        raise IndexError(f"{here()}: index {i} is out of bounds for axis {axis} with size {n}")
    return i + n if i < 0 else i


def _rows(a: Any, axis: int, dims: tuple[int, ...], source: int) -> Rows:
    if a.dtype.kind != "b":
        return Rows(axis, *non_negative(a, dims[0], source), unique=a.ndim == 0)
    for i, (n, m) in enumerate(zip(a.shape, dims, strict=True)):
        if n != m:
            raise IndexError(
                f"{here()}: boolean index did not match indexed array along axis {source + i}; "
                f"size of axis is {m} but size of corresponding boolean axis is {n}"
            )
    return Rows(axis, positions(a), True, True)


def non_negative(a: Any, n: int, axis: int) -> tuple[Any, bool]:
    """Integer indices of an axis of length n as int64 in 0..n-1, and whether that is certain.

    Raises IndexError where one is out of range. Of a traced index only the present value is known.
    """
    a = cast(a, _I8)
    value = value_of(a)
    if value is None:  # in a program for many elements: the sweep checks the range
        return e.where(e.less(a, 0), e.add(a, n), a), False
    value = np.asarray(value)
    bad = (value < -n) | (value >= n)
    if bad.any():
        worst = value[bad].flat[0]
        if isinstance(a, Tracer):
            pin(a)  # the user may handle the error
        raise IndexError(f"{here()}: index {worst} is out of bounds for axis {axis} with size {n}")
    if isinstance(a, Tracer):
        return e.where(e.less(a, 0), e.add(a, n), a), False
    return np.where(value < 0, value + n, value)[()], True


def positions(mask: Any) -> Any:
    """Flat positions of the true elements; their number is guarded where the mask is traced."""
    if not isinstance(mask, Tracer):
        return np.flatnonzero(mask)
    flat = to_shape(mask, (mask.size,))
    count = int(pin(sum_of(cast(flat, _I8), axes=(0,))))
    return ops.nonzero(flat, count=count)
