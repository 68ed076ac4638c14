"""Layout ops: their output is a strided view of the operand, so the executor need not copy.

`slice` and `place` are each other's transposes. Their `index` is (start, step, count) per axis.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.types import Aval, aval

Index = tuple[tuple[int, int, int], ...]


def _reshape_infer(x: Aval, shape: tuple[int, ...]) -> Aval:
    if prod(shape) != x.size:
        raise ValueError(f"cannot reshape array of size {x.size} into shape {shape}")
    return aval(shape, x.dtype)


reshape: Op = declare(
    Op(
        name="reshape",
        kind=Kind.LAYOUT,
        infer=_reshape_infer,
        evaluate=lambda x, shape: np.reshape(x, shape),
        params=("shape",),
        vjp=lambda g, out, x, shape: (reshape(g, shape=x.shape),),
        linear=True,
        cases=(Case(((2, 3),), {"shape": (3, 2)}), Case(((),), {"shape": (1, 1)})),
        doc="the elements in row-major order with another shape",
    )
)


transpose: Op = declare(
    Op(
        name="transpose",
        kind=Kind.LAYOUT,
        infer=lambda x, perm: aval(tuple(x.shape[p] for p in perm), x.dtype),
        evaluate=lambda x, perm: np.transpose(x, perm),
        params=("perm",),
        vjp=lambda g, out, x, perm: (transpose(g, perm=tuple(int(p) for p in np.argsort(perm))),),
        linear=True,
        cases=(Case(((2, 3, 4),), {"perm": (2, 0, 1)}),),
        doc="axes permuted",
    )
)


def as_slices(index: Index) -> tuple[Any, ...]:
    """NumPy's basic index that selects (start, step, count) per axis."""
    out = []
    for start, step, count in index:
        stop: int | None = start + step * count
        if stop is not None and stop < 0:
            stop = None
        out.append(slice(start, stop, step) if count else slice(0, 0))
    return tuple(out)


def _place(x: Any, shape: tuple[int, ...], index: Index) -> Any:
    out = np.zeros(shape, dtype=np.asarray(x).dtype)
    out[as_slices(index)] = x
    return out


def _update(old: Any, value: Any, index: Index) -> Any:
    out = np.array(old)
    out[as_slices(index)] = value
    return out


def _counts(index: Index) -> tuple[int, ...]:
    return tuple(count for _, _, count in index)


strided_slice: Op = declare(
    Op(
        name="slice",
        kind=Kind.LAYOUT,
        infer=lambda x, index: aval(_counts(index), x.dtype),
        evaluate=lambda x, index: np.asarray(x)[as_slices(index)],
        params=("index",),
        vjp=lambda g, out, x, index: (place(g, shape=x.shape, index=index),),
        linear=True,
        cases=(
            Case(((5, 4),), {"index": ((1, 2, 2), (3, -1, 3))}),
            Case(((5,),), {"index": ((2, 1, 0),)}, "empty"),
        ),
        doc="every step-th element from start, count of them, per axis",
    )
)


place: Op = declare(
    Op(
        name="place",
        kind=Kind.PLACE,
        infer=lambda x, shape, index: aval(shape, x.dtype),
        evaluate=_place,
        params=("shape", "index"),
        vjp=lambda g, out, x, shape, index: (strided_slice(g, index=index),),
        linear=True,
        cases=(Case(((2, 3),), {"shape": (5, 4), "index": ((1, 2, 2), (3, -1, 3))}),),
        doc="the operand written into zeros: the transpose of slice",
    )
)


update: Op = declare(
    Op(
        name="update",
        kind=Kind.PLACE,
        infer=lambda old, value, index: old,
        evaluate=_update,
        params=("index",),
        vjp=lambda g, out, old, value, index: (
            update(g, np.zeros(value.shape, g.dtype), index=index),
            strided_slice(g, index=index),
        ),
        jvp=lambda tangents, out, old, value, index: update(
            zeros_for(tangents[0], old), zeros_for(tangents[1], value), index=index
        ),
        cases=(Case(((5,), (2,)), {"index": ((1, 2, 2),)}),),
        doc="a copy of the first operand with a strided slice replaced by the second",
    )
)


def zeros_for(tangent: Any, like: Any) -> Any:
    """The tangent, or zeros where it is None."""
    return np.zeros(like.shape, like.dtype) if tangent is None else tangent


def _concatenate_infer(*avals: Aval, axis: int) -> Aval:
    shape = list(avals[0].shape)
    for a in avals[1:]:
        rest = [n for i, n in enumerate(a.shape) if i != axis]
        if rest != [n for i, n in enumerate(avals[0].shape) if i != axis]:
            raise ValueError(
                "all the input array dimensions except for the concatenation axis must match "
                f"exactly, but the shapes are {[a.shape for a in avals]}"
            )
    shape[axis] = sum(a.shape[axis] for a in avals)
    return aval(tuple(shape), np.result_type(*[a.dtype for a in avals]))


def _concatenate_vjp(g: Any, out: Any, *args: Any, axis: int) -> tuple:
    cotangents, start = [], 0
    for x in args:
        index = tuple((start if i == axis else 0, 1, n) for i, n in enumerate(x.shape))
        cotangents.append(strided_slice(g, index=index))
        start += x.shape[axis]
    return tuple(cotangents)


concatenate: Op = declare(
    Op(
        name="concatenate",
        kind=Kind.PLACE,
        infer=_concatenate_infer,
        evaluate=lambda *args, axis: np.concatenate(args, axis=axis),
        params=("axis",),
        vjp=_concatenate_vjp,
        jvp=lambda tangents, out, *args, axis: concatenate(
            *[zeros_for(t, x) for t, x in zip(tangents, args, strict=True)], axis=axis
        ),
        cases=(Case(((2, 3), (2, 1)), {"axis": 1}), Case(((2,), (0,), (3,)), {"axis": 0})),
        doc="operands of equal dtype one after another along an axis",
    )
)
