"""Shape and layout: NumPy's functions and methods on reshape, transpose, broadcast_to and slice."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from jittape.functions.creation import as_array
from jittape.ops import reduce
from jittape.ops import shape as ops
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, tracer_method

_MATRIX = Case(((2, 3),))


def as_shape(shape: Any) -> tuple[int, ...]:
    """A shape given as an int or a sequence of ints (which may be traced: they are pinned)."""
    if isinstance(shape, (tuple, list, range)) or np.ndim(shape):
        return tuple(int(n.__index__()) for n in shape)
    return (int(shape.__index__()),)


def to_shape(a: Any, shape: tuple[int, ...]) -> Any:
    """a with this complete shape; a itself where it has it."""
    return a if a.shape == shape else ops.reshape(a, shape=shape)


def permuted(a: Any, perm: Sequence[int]) -> Any:
    """a with its axes permuted; a itself where they stay."""
    perm = tuple(perm)
    return a if perm == tuple(range(len(perm))) else ops.transpose(a, perm=perm)


@implements(
    np.reshape,
    cases=(
        Case(((2, 3),), {"shape": (3, -1)}),
        Case(((2, 3),), {"shape": -1}, "flat"),
        Case(((2, 3, 2),), {"shape": (4, 3), "order": "F"}, "Fortran order"),
        Case(((),), {"shape": (1, 1)}, "scalar"),
        Case(((0, 3),), {"shape": (3, 0)}, "empty"),
    ),
)
def reshape(
    a: Any, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None
) -> Any:
    a = as_array(a)
    wanted = as_shape(newshape if shape is None else shape)
    if wanted.count(-1) == 1:
        rest = prod(n for n in wanted if n != -1)
        free = a.size // rest if rest else 0
        full = tuple(free if n == -1 else n for n in wanted)
    else:
        full = wanted
    if any(n < 0 for n in full) or prod(full) != a.size:
        raise ValueError(f"cannot reshape array of size {a.size} into shape {wanted}")
    if order == "F":
        return _reversed(to_shape(_reversed(a), full[::-1]))
    return to_shape(a, full)


def _reversed(a: Any) -> Any:
    return permuted(a, range(a.ndim)[::-1])


@tracer_method("reshape")
def _reshape(self: Tracer, *shape: Any, order: str = "C", copy: Any = None) -> Any:
    if len(shape) == 1:
        (shape,) = shape
    return reshape(self, shape, order)


@implements(np.ravel, cases=(_MATRIX, Case(((2, 3),), {"order": "F"}), Case(((),), name="scalar")))
def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, (-1,), order) if as_array(a).size else to_shape(as_array(a), (0,))


@tracer_method("ravel")
def _ravel(self: Tracer, order: str = "C") -> Any:
    return ravel(self, order)


# iterated, indexed and written to like NumPy's flat iterator
@tracer_method("flatten")
def _flatten(self: Tracer, order: str = "C") -> Any:
    flat = ravel(self, order)
    return flat.copy() if flat is self else flat


@implements(
    np.transpose,
    cases=(
        _MATRIX,
        Case(((2, 3, 4),), {"axes": (1, 2, 0)}),
        Case(((2, 3, 4),), {"axes": (-1, 0, 1)}, "negative"),
    ),
)
def transpose(a: Any, axes: Any = None) -> Any:
    a = as_array(a)
    if axes is None:
        return _reversed(a)
    axes = as_shape(axes)
    if len(axes) != a.ndim:
        raise ValueError("axes don't match array")
    return permuted(a, normalize_axis_tuple(axes, a.ndim))


@tracer_method("transpose")
def _transpose(self: Tracer, *axes: Any) -> Any:
    if len(axes) == 1 and not hasattr(axes[0], "__index__"):
        (axes,) = axes
    return transpose(self, axes or None)


@implements(np.matrix_transpose, np.linalg.matrix_transpose, cases=(Case(((2, 3, 4),)),))
def matrix_transpose(x: Any, /) -> Any:
    x = as_array(x)
    if x.ndim < 2:
        raise ValueError("matrix transpose with ndim < 2 is undefined")
    return swapaxes(x, -1, -2)


Tracer.T = property(_reversed)  # type: ignore[attr-defined]
Tracer.mT = property(matrix_transpose)  # type: ignore[attr-defined]


@implements(np.swapaxes, cases=(Case(((2, 3, 4), 0, -1)),))
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    a = as_array(a)
    perm = list(range(a.ndim))
    i, j = normalize_axis_index(axis1, a.ndim), normalize_axis_index(axis2, a.ndim)
    perm[i], perm[j] = j, i
    return permuted(a, perm)


tracer_method("swapaxes")(swapaxes)


@implements(
    np.moveaxis,
    cases=(
        Case(((2, 3, 4), 0, -1)),
        Case(((2, 3, 4),), {"source": (0, 1), "destination": (-1, 0)}),
    ),
)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    a = as_array(a)
    source = normalize_axis_tuple(source, a.ndim, "source")
    destination = normalize_axis_tuple(destination, a.ndim, "destination")
    if len(source) != len(destination):
        raise ValueError(
            "`source` and `destination` arguments must have the same number of elements"
        )
    order = [i for i in range(a.ndim) if i not in source]
    for to, origin in sorted(zip(destination, source, strict=True)):
        order.insert(to, origin)
    return permuted(a, order)


@implements(np.rollaxis, cases=(Case(((2, 3, 4), 2)), Case(((2, 3, 4), 0, 3))))
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    a = as_array(a)
    axis = normalize_axis_index(axis, a.ndim)
    start = start + a.ndim if start < 0 else start
    if not 0 <= start <= a.ndim:
        raise np.exceptions.AxisError(f"`start` {start} is out of bounds for {a.ndim} dimensions")
    order = [i for i in range(a.ndim) if i != axis]
    order.insert(start - (axis < start), axis)
    return permuted(a, order)


@implements(
    np.broadcast_to,
    cases=(Case(((3, 1),), {"shape": (2, 3, 4)}), Case(((),), {"shape": (2,)}, "scalar")),
)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    a, full = as_array(array), as_shape(shape)
    lead = len(full) - a.ndim
    if lead < 0 or any(n not in (1, m) for n, m in zip(a.shape, full[lead:], strict=True)):
        raise ValueError(
            f"{here()}: operands could not be broadcast together with remapped shapes: "
            f"cannot broadcast {a.shape} to {full}"
        )
    return a if a.shape == full else reduce.broadcast_to(a, shape=full)


@implements(np.broadcast_arrays, cases=(Case(((3, 1), (1, 4))),))
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple:
    arrays = [as_array(a) for a in args]
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    return tuple(broadcast_to(a, shape) for a in arrays)


@implements(np.expand_dims, cases=(Case(((2, 3), 1)), Case(((2, 3),), {"axis": (0, -1)})))
def expand_dims(a: Any, axis: Any) -> Any:
    a = as_array(a)
    axes = (axis,) if not isinstance(axis, (tuple, list)) else tuple(axis)
    ndim = a.ndim + len(axes)
    axes = normalize_axis_tuple(axes, ndim)
    rest = iter(a.shape)
    return to_shape(a, tuple(1 if i in axes else next(rest) for i in range(ndim)))


@implements(np.squeeze, cases=(Case(((1, 3, 1),)), Case(((1, 3, 1), 0)), Case(((2, 3),))))
def squeeze(a: Any, axis: Any = None) -> Any:
    a = as_array(a)
    if axis is None:
        axes = tuple(i for i, n in enumerate(a.shape) if n == 1)
    else:
        axes = normalize_axis_tuple(axis, a.ndim)
    if any(a.shape[i] != 1 for i in axes):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return to_shape(a, tuple(n for i, n in enumerate(a.shape) if i not in axes))


tracer_method("squeeze")(squeeze)


def _each(f: Any, arrays: tuple) -> Any:
    results = tuple(f(as_array(a)) for a in arrays)
    return results[0] if len(results) == 1 else results


@implements(np.atleast_1d, cases=(Case(((),)), _MATRIX))
def atleast_1d(*arys: Any) -> Any:
    return _each(lambda a: a if a.ndim else to_shape(a, (1,)), arys)


@implements(np.atleast_2d, cases=(Case(((),)), Case(((3,),))))
def atleast_2d(*arys: Any) -> Any:
    return _each(lambda a: to_shape(a, (1,) * (2 - a.ndim) + a.shape), arys)


def _three(a: Any) -> Any:
    if a.ndim == 2:
        return to_shape(a, (*a.shape, 1))
    return to_shape(a, {0: (1, 1, 1), 1: (1, *a.shape, 1)}.get(a.ndim, a.shape))


@implements(np.atleast_3d, cases=(Case(((),)), Case(((3,),)), _MATRIX))
def atleast_3d(*arys: Any) -> Any:
    return _each(_three, arys)


# -- reversing and shifting ----------------------------------------------------------------------


def sliced(a: Any, axis: int, start: int, stop: int, step: int = 1) -> Any:
    """a[..., start:stop:step, ...] along one axis; start and stop lie within it."""
    count = len(range(start, stop, step))
    full = [(0, 1, n) for n in a.shape]
    if full[axis] == (start, step, count):
        return a
    full[axis] = (start, step, count)
    return ops.strided_slice(a, index=tuple(full))


@implements(
    np.flip, cases=(_MATRIX, Case(((2, 3),), {"axis": 0}), Case(((2, 3),), {"axis": (0, 1)}))
)
def flip(m: Any, axis: Any = None) -> Any:
    m = as_array(m)
    axes = range(m.ndim) if axis is None else normalize_axis_tuple(axis, m.ndim)
    index = tuple((n - 1, -1, n) if i in axes and n else (0, 1, n) for i, n in enumerate(m.shape))
    return ops.strided_slice(m, index=index)


def _reversible(m: Any, ndim: int) -> Any:
    m = as_array(m)
    if m.ndim < ndim:
        raise ValueError(f"Input must be >= {ndim}-d.")
    return m


@implements(np.fliplr, cases=(_MATRIX,))
def fliplr(m: Any) -> Any:
    return flip(_reversible(m, 2), 1)


@implements(np.flipud, cases=(_MATRIX,))
def flipud(m: Any) -> Any:
    return flip(_reversible(m, 1), 0)


@implements(np.rot90, cases=(_MATRIX, Case(((2, 3), 2)), Case(((2, 3, 4), -1), {"axes": (1, 2)})))
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    axes = tuple(axes)
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    m = as_array(m)
    i, j = normalize_axis_tuple(axes, m.ndim)
    k %= 4
    if k == 0:
        return m
    if k == 2:
        return flip(m, (i, j))
    return swapaxes(flip(m, j), i, j) if k == 1 else flip(swapaxes(m, i, j), j)


@implements(
    np.roll,
    cases=(
        Case(((2, 3), 2)),
        Case(((2, 3), -1), {"axis": 1}),
        Case(((2, 3),), {"shift": (1, 4), "axis": (0, 1)}),
        Case(((0,), 2), name="empty"),
    ),
)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    a = as_array(a)
    if axis is None:
        return to_shape(roll(ravel(a), shift, 0), a.shape)
    axes = normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)
    for step, i in np.broadcast(shift, axes):
        n = a.shape[i]
        step = int(step) % n if n else 0
        if step:
            parts = sliced(a, i, n - step, n), sliced(a, i, 0, n - step)
            a = ops.concatenate(*parts, axis=int(i))
    return a


# -- what is static ------------------------------------------------------------------------------


@implements(np.shape, differentiable=False)
def shape(a: Any) -> tuple[int, ...]:
    return as_array(a).shape


@implements(np.ndim, differentiable=False)
def ndim(a: Any) -> int:
    return as_array(a).ndim


@implements(np.size, differentiable=False)
def size(a: Any, axis: Any = None) -> int:
    a = as_array(a)
    if axis is None:
        return a.size
    return prod(a.shape[i] for i in normalize_axis_tuple(axis, a.ndim))


@implements(np.iscomplexobj, differentiable=False)
def iscomplexobj(x: Any) -> bool:
    return as_array(x).dtype.kind == "c"


@implements(np.isrealobj, differentiable=False)
def isrealobj(x: Any) -> bool:
    return as_array(x).dtype.kind != "c"
