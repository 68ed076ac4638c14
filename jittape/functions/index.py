"""Indexing: a key is split into a basic part (a strided slice) and an advanced part (rows taken).

The same plan serves reading (`getitem`) and functional writing (`index_update`, `index_add`).
Integer arrays and masks in a key may be traced or captured: either way they are values of the
tape, so that a replay reads the indices of that replay. The number of true elements of a mask is
guarded, because shapes depend on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from jittape.functions.creation import as_array
from jittape.functions.keys import Plan, in_range, plan
from jittape.functions.shape import broadcast_to, permuted, to_shape
from jittape.ops import elementwise as e
from jittape.ops import index as ops
from jittape.ops import shape as layout
from jittape.ops.guards import guard_true
from jittape.ops.reduce import all as all_of
from jittape.tracing.recorder import here
from jittape.tracing.rows import FULL
from jittape.tracing.tracer import Tracer, cast, signature, tracer_method
from jittape.tracing.views import as_view, layout_flags
from jittape.types import aval

_I8 = np.dtype(np.int64)


def _identity(plan: Plan, shape: tuple[int, ...]) -> bool:
    return all(s == (0, 1, n) for s, n in zip(plan.slices, shape, strict=True))


def _basic(x: Any, p: Plan) -> Any:
    if not _identity(p, x.shape):
        x = layout.strided_slice(x, index=p.slices)
    return to_shape(x, p.shape)


def _together(p: Plan) -> tuple[Any, tuple[int, ...], bool]:
    """One index over all advanced axes together, their lengths, and whether it is unique."""
    lengths = tuple(p.shape[r.axis] for r in p.rows)
    if len(p.rows) == 1:
        return p.rows[0].idx, lengths, p.rows[0].unique
    try:
        np.broadcast_shapes(*[r.idx.shape for r in p.rows])
    except ValueError:
        shapes = " ".join(str(r.idx.shape) for r in p.rows)
        raise IndexError(
            f"{here()}: shape mismatch: indexing arrays could not be broadcast together with "
            f"shapes {shapes}"
        ) from None
    total: Any = None
    for k, (r, n) in enumerate(zip(p.rows, lengths, strict=True)):
        if isinstance(r.idx, Tracer) and not r.exact:
            # one axis' index out of range may still lie inside of the whole
            inside = e.logical_and(e.greater_equal(r.idx, 0), e.less(r.idx, n))
            flat = to_shape(inside, (inside.size,))
            guard_true(all_of(flat, axes=(0,)), expected=True)
        stride = prod(lengths[k + 1 :])
        term = r.idx if stride == 1 else e.multiply(r.idx, np.int64(stride))
        total = term if total is None else e.add(total, term)
    return total, lengths, all(r.unique for r in p.rows) and sum(r.idx.ndim for r in p.rows) < 2


def _rows_first(y: Any, p: Plan) -> Any:
    """The sliced array with its advanced axes merged into one in front."""
    axes = [r.axis for r in p.rows]
    rest = [i for i in range(y.ndim) if i not in axes]
    y = permuted(y, (*axes, *rest))
    lead = prod(p.shape[i] for i in axes)
    return to_shape(y, (lead, *[p.shape[i] for i in rest]))


def _rows_back(y: Any, p: Plan) -> Any:
    """The inverse of `_rows_first`."""
    axes = [r.axis for r in p.rows]
    order = [*axes, *[i for i in range(len(p.shape)) if i not in axes]]
    y = to_shape(y, tuple(p.shape[i] for i in order))
    return permuted(y, tuple(int(i) for i in np.argsort(order)))


def _place(p: Plan) -> int:
    """How many plain axes of the result come before those of the advanced index."""
    return 0 if p.front else p.rows[0].axis


def getitem(x: Any, key: Any) -> Any:
    """x[key] for a tracer or a traced key: NumPy's rules and errors. The result is no view."""
    p = plan(x.shape, key)
    y = _basic(x, p)
    if not p.rows:
        return y
    idx, _, _ = _together(p)
    y = ops.take(_rows_first(y, p), idx)
    k, before = idx.ndim, _place(p)
    return permuted(y, (*range(k, k + before), *range(k), *range(k + before, y.ndim)))


def element(x: Tracer, i: int, depth: int = 1) -> Tracer:
    """x[i] for an int: what each step of a traced Python loop pays, hence the plain code.

    The position is an operand (a literal), so that all elements share one signature.
    depth: how many frames up the user's own code is.
    """
    number_of_x = x._id
    trace = x._trace
    a = x._aval
    sig = ops.take.memo.get(a)
    frame = sys._getframe(depth)
    if sig is None or not (frame is trace.frame or trace.follow(frame)):
        return _element(x, i)
    n = a.shape[0]
    j = i if i >= 0 else i + n
    if not 0 <= j < n:
        return _element(x, i)
    number = trace.literals.get((j, "int64"))
    if number is None:
        number = trace.position_literal(j)
    value = x._value[j]
    index = trace.base + len(trace.sigs)
    args = trace.args
    args.append(number_of_x)
    args.append(number)
    trace.where.append(trace.start + frame.f_lasti)
    trace.sigs.append(sig.id)
    if len(trace.sigs) >= FULL:
        trace.pack()
    if sig.out.ndim:
        row = as_view(trace, sig, (x, np.int64(j)), index, value)
        if row is not None:
            return row
    return Tracer(trace, index, sig.out, value)


def _element(x: Any, i: int) -> Any:
    if not x.shape:
        raise IndexError(f"{here()}: too many indices for array: array is 0-dimensional")
    if x._aval not in ops.take.memo:
        ops.take.memo[x._aval] = signature(ops.take, (), (x._aval, aval((), np.int64)))
    return ops.take(x, np.int64(in_range(i, x.shape[0], 0)))


def _flat(x: Tracer, lead: int) -> Tracer:
    """x with its first axes merged; recorded once, because a loop reads many elements of it."""
    trace = x._trace
    number = x._id
    shape = x.shape
    merged = (prod(shape[:lead]), *shape[lead:])
    known = trace.flats.get((number, lead))
    if known is None or not trace.fast:
        flat = layout.reshape(x, shape=merged)
        if flat._trace is trace:
            trace.flats[number, lead] = flat._id
        return flat
    sig = signature(layout.reshape, (merged,), (x._aval,))
    value = np.reshape(x._value, merged)
    view = as_view(trace, sig, (x,), known, value)
    return Tracer(trace, known, sig.out, value) if view is None else view


@tracer_method("__getitem__")
def _getitem(self: Tracer, key: Any) -> Any:
    kind = type(key)
    if kind is int:
        return element(self, key, 2)
    if kind is tuple and key and type(key[0]) is int:
        shape = self._aval.shape
        ints = 0
        at = 0
        if len(key) <= len(shape):
            for i, n in zip(key, shape, strict=False):
                if type(i) is not int:
                    break
                at = at * n + in_range(i, n, ints)
                ints += 1
            if all(map(_is_everything, key[ints:])) and key[ints:].count(Ellipsis) < 2:
                if ints == 1:
                    return element(self, at, 2)
                if layout_flags(self).c_contiguous:  # else flattening it would be a copy
                    return element(_flat(self, ints), at, 2)
    elif issubclass(type(key), np.integer):
        return element(self, int(key), 2)
    return getitem(self, key)


def _is_everything(k: Any) -> bool:
    return k is Ellipsis or (type(k) is slice and k.start is k.stop is k.step is None)


def index_update(x: Any, key: Any, value: Any) -> Any:
    """A copy of x with x[key] = value; the last write wins where an index occurs twice."""

    def write(y: Any, idx: Any, v: Any, unique: bool) -> Any:
        return ops.put(y, idx, v, unique=unique)

    def whole(old: Any, v: Any, p: Plan) -> Any:
        if _identity(p, old.shape):
            return v
        return layout.update(old, v, index=p.slices)

    return _written(x, key, value, whole, write)


def index_add(x: Any, key: Any, value: Any) -> Any:
    """A copy of x with np.add.at(x, key, value): repeated indices add up."""

    def write(y: Any, idx: Any, v: Any, unique: bool) -> Any:
        return ops.scatter_add_to(y, idx, v)

    def whole(old: Any, v: Any, p: Plan) -> Any:
        return ops.add_at(old, v, index=p.slices)

    return _written(x, key, value, whole, write)


def _written(x: Any, key: Any, value: Any, whole: Callable, write: Callable) -> Any:
    x = as_array(x)
    value = cast(as_array(value), x.dtype)
    if type(key) is int and x.ndim:
        # one signature for all elements, as in `_getitem`
        i = np.int64(in_range(key, x.shape[0], 0))
        return write(x, i, _fitted(value, x.shape[1:]), True)
    p = plan(x.shape, key)
    counts = tuple(count for _, _, count in p.slices)
    if not p.rows:
        return whole(x, to_shape(_fitted(value, p.shape), counts), p)
    y = _basic(x, p)
    idx, _, unique = _together(p)
    before, k = _place(p), idx.ndim
    rest = [n for i, n in enumerate(p.shape) if i not in {r.axis for r in p.rows}]
    value = _fitted(value, (*rest[:before], *idx.shape, *rest[before:]))
    value = permuted(
        value, (*range(before, before + k), *range(before), *range(before + k, value.ndim))
    )
    y = _rows_back(write(_rows_first(y, p), idx, value, unique), p)
    return (
        to_shape(y, x.shape)
        if _identity(p, x.shape)
        else layout.update(x, to_shape(y, counts), index=p.slices)
    )


def _fitted(value: Any, shape: tuple[int, ...]) -> Any:
    """A value to be written, broadcast to the shape of its place."""
    extra = value.ndim - len(shape)
    if extra > 0 and all(n == 1 for n in value.shape[:extra]):
        value = to_shape(value, value.shape[extra:])
    try:
        return broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{here()}: could not broadcast input array from shape {value.shape} into shape {shape}"
        ) from None
