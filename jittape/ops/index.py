"""Reading and writing at integer indices that are themselves values of the tape.

Indices count rows: `take(x, idx)` reads x[idx[...]] along the first axis. They are int64 and
non-negative; an index out of range stops the sweep (`evaluate` raises IndexError). One element or
row of an array is read with a scalar index, which is an operand rather than a parameter, so that
a loop over x[i] has one signature and one derivative template.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import equal, where
from jittape.ops.shape import Index, as_slices, reshape, strided_slice
from jittape.types import Aval, aval

_IDX = np.array([[2, 0], [2, 1]])


def _take_infer(x: Aval, idx: Aval) -> Aval:
    if x.ndim == 0 or idx.dtype != np.int64:
        raise TypeError(f"take: cannot read {x} at indices {idx}")
    return aval((*idx.shape, *x.shape[1:]), x.dtype)


def _take(x: Any, idx: Any) -> Any:
    return np.asarray(x)[idx]


take: Op = declare(
    Op(
        name="take",
        kind=Kind.GATHER,
        infer=_take_infer,
        evaluate=_take,
        vjp=lambda g, out, x, idx: (scatter_add(idx, g, n=x.shape[0]), None),
        jvp=lambda tangents, out, x, idx: take(tangents[0], idx),
        cases=(
            Case(((3,), _IDX), name="repeated rows"),
            Case(((3, 2), np.array(1)), name="one row"),
            Case(((3,), np.zeros(0, np.int64)), name="empty"),
        ),
        doc="rows of the first operand at the indices of the second",
    )
)


def _scatter_infer(idx: Aval, v: Aval, n: int) -> Aval:
    if v.shape[: idx.ndim] != idx.shape or idx.dtype != np.int64:
        raise TypeError(f"scatter_add: cannot add {v} at indices {idx}")
    return aval((n, *v.shape[idx.ndim :]), v.dtype)


def _scatter_add(idx: Any, v: Any, n: int) -> Any:
    v = np.asarray(v)
    out = np.zeros((n, *v.shape[np.ndim(idx) :]), v.dtype)
    np.add.at(out, idx, v)
    return out


scatter_add: Op = declare(
    Op(
        name="scatter_add",
        kind=Kind.SCATTER,
        infer=_scatter_infer,
        evaluate=_scatter_add,
        params=("n",),
        vjp=lambda g, out, idx, v, n: (None, take(g, idx)),
        jvp=lambda tangents, out, idx, v, n: scatter_add(idx, tangents[1], n=n),
        cases=(
            Case((_IDX, (2, 2, 3)), {"n": 4}),
            Case((np.array(1), ()), {"n": 3}, "one element"),
        ),
        doc="rows added into n rows of zeros: the transpose of take",
    )
)


def _put(x: Any, idx: Any, v: Any, unique: bool) -> Any:
    out = np.array(x)
    out[idx] = v
    return out


def _put_infer(x: Aval, idx: Aval, v: Aval, unique: bool) -> Aval:
    if v.shape != (*idx.shape, *x.shape[1:]) or idx.dtype != np.int64 or v.dtype != x.dtype:
        raise TypeError(f"put: cannot write {v} to {x} at indices {idx}")
    return x


def _survivors(g: Any, idx: Any, v: Any, n: int, unique: bool) -> Any:
    """g, with zeros where v was overwritten by a later row of v."""
    if unique or idx.ndim == 0:
        return g
    order = np.arange(idx.size).reshape(idx.shape)
    winner = put(np.zeros(n, np.int64), idx, order, unique=True)
    last = equal(take(winner, idx), order)
    return where(reshape(last, shape=(*idx.shape, *(1,) * (v.ndim - idx.ndim))), g, 0.0)


def _put_vjp(g: Any, out: Any, x: Any, idx: Any, v: Any, unique: bool) -> tuple:
    kept = put(g, idx, np.zeros(v.shape, g.dtype), unique=True)
    return kept, None, _survivors(take(g, idx), idx, v, x.shape[0], unique)


def _put_jvp(tangents: tuple, out: Any, x: Any, idx: Any, v: Any, unique: bool) -> Any:
    tx = np.zeros(x.shape, x.dtype) if tangents[0] is None else tangents[0]
    tv = np.zeros(v.shape, v.dtype) if tangents[2] is None else tangents[2]
    return put(tx, idx, tv, unique=unique)


put: Op = declare(
    Op(
        name="put",
        kind=Kind.SCATTER,
        infer=_put_infer,
        evaluate=_put,
        params=("unique",),
        vjp=_put_vjp,
        jvp=_put_jvp,
        cases=(
            Case(((4, 2), np.array([3, 1]), (2, 2)), {"unique": True}),
            Case(((4,), np.array([1, 3, 1]), (3,)), {"unique": False}, "the last write wins"),
            Case(((4,), np.array(2), ()), {"unique": True}, "one element"),
        ),
        doc="a copy of the first operand with rows replaced; unique: no index occurs twice",
    )
)


def _add_at(acc: Any, v: Any, index: Index) -> Any:
    out = np.array(acc)
    out[as_slices(index)] += v
    return out


add_at: Op = declare(
    Op(
        name="add_at",
        kind=Kind.PLACE,
        infer=lambda acc, v, index: acc,
        evaluate=_add_at,
        params=("index",),
        vjp=lambda g, out, acc, v, index: (g, strided_slice(g, index=index)),
        cases=(Case(((5, 4), (2, 3)), {"index": ((1, 2, 2), (3, -1, 3))}),),
        doc="the first operand with the second added to a strided slice of it",
    )
)


def _scatter_add_to(acc: Any, idx: Any, v: Any) -> Any:
    out = np.array(acc)
    np.add.at(out, idx, v)
    return out


scatter_add_to: Op = declare(
    Op(
        name="scatter_add_to",
        kind=Kind.SCATTER,
        infer=lambda acc, idx, v: acc,
        evaluate=_scatter_add_to,
        vjp=lambda g, out, acc, idx, v: (g, None, take(g, idx)),
        cases=(
            Case(((3, 2), _IDX, (2, 2, 2))),
            Case(((3,), np.array(1), ()), name="one element"),
        ),
        doc="the first operand with rows added at the indices",
    )
)


nonzero: Op = declare(
    Op(
        name="nonzero",
        kind=Kind.HOST,
        infer=lambda mask, count: aval((count,), np.int64),
        evaluate=lambda mask, count: np.flatnonzero(mask),
        params=("count",),
        flat=True,
        cases=(Case((np.array([True, False, True]),), {"count": 2}),),
        doc="positions of the true elements of a vector; their number is guarded before",
    )
)
