"""Products of vectors, matrices and tensors, all lowered to the op `matmul` (BLAS)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from jittape.functions.creation import as_array
from jittape.functions.shape import permuted, to_shape
from jittape.ops import elementwise as e
from jittape.ops import product as ops
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, cast, tracer_method

_PAIR = Case(((3,), (3,)))


def same_dtype(a: Any, b: Any) -> tuple[Any, Any]:
    """Both operands in the dtype of their product."""
    dtype = np.result_type(a.dtype, b.dtype)
    return cast(a, dtype), cast(b, dtype)


def _mismatch(name: str, a: Any, b: Any, i: int, j: int) -> ValueError:
    return ValueError(
        f"{here()}: {name}: shapes {a.shape} and {b.shape} not aligned: "
        f"{a.shape[i]} (dim {i % a.ndim}) != {b.shape[j]} (dim {j % b.ndim})"
    )


def _no_out(name: str, out: Any) -> None:
    if out is not None:
        raise TypeError(f"{here()}: out= of {name} is not recorded; assign the result instead")


@implements(
    np.matmul,
    cases=(
        Case(((2, 3), (3, 4))),
        Case(((3,), (3,)), name="vectors"),
        Case(((2, 3), (3,)), name="matrix and vector"),
        Case(((3,), (4, 3, 2)), name="vector and batch"),
        Case(((2, 1, 2, 3), (4, 3, 2)), name="batches"),
    ),
)
def matmul(x1: Any, x2: Any, /, out: Any = None, *, dtype: Any = None, **kwargs: Any) -> Any:
    _no_out("matmul", out if out != (None,) else None)
    if kwargs:
        raise TypeError(f"{here()}: matmul does not record the keywords {sorted(kwargs)}")
    a, b = as_array(x1), as_array(x2)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(
            "matmul: Input operand does not have enough dimensions (a scalar is no matrix)"
        )
    a, b = same_dtype(a, b)
    if dtype is not None:
        a, b = cast(a, np.dtype(dtype)), cast(b, np.dtype(dtype))
    j = -2 if b.ndim > 1 else -1
    if a.shape[-1] != b.shape[j]:
        raise _mismatch("matmul", a, b, -1, j)
    left = to_shape(a, (1, *a.shape)) if a.ndim == 1 else a
    right = to_shape(b, (*b.shape, 1)) if b.ndim == 1 else b
    y = ops.matmul(left, right)
    shape = y.shape
    if b.ndim == 1:
        shape = shape[:-1]
    if a.ndim == 1:
        shape = shape[:-1] if b.ndim == 1 else (*shape[:-2], shape[-1])
    return to_shape(y, shape)


@tracer_method("__matmul__")
def _matmul(self: Tracer, other: Any) -> Any:
    # as arrays do: an object that is none of NumPy's and knows products (a sparse matrix) is asked
    if hasattr(type(other), "__rmatmul__") and not hasattr(other, "__array_ufunc__"):
        return NotImplemented
    return matmul(self, other)


@tracer_method("__rmatmul__")
def _rmatmul(self: Tracer, other: Any) -> Any:
    return matmul(other, self)


@implements(
    np.dot,
    cases=(
        _PAIR,
        Case(((2, 3), (3, 4))),
        Case(((2, 3), (3,))),
        Case(((2, 2, 3), (4, 3, 2)), name="sum over the last and second-to-last axis"),
        Case(((), (3,)), name="scalar"),
    ),
)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    _no_out("dot", out)
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    if a.ndim <= 2 and b.ndim <= 2:
        if a.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
            raise _mismatch("dot", a, b, -1, max(b.ndim - 2, 0) - b.ndim)
        return matmul(a, b)
    return tensordot(a, b, ((a.ndim - 1,), (max(b.ndim - 2, 0),)))


@tracer_method("dot")
def _dot(self: Tracer, b: Any, out: Any = None) -> Any:
    return dot(self, b, out)


@implements(np.vdot, cases=(_PAIR, Case(((2, 3), (2, 3)))))
def vdot(a: Any, b: Any, /) -> Any:
    a, b = as_array(a), as_array(b)
    if a.dtype.kind == "c":
        a = np.conjugate(a)
    if a.size != b.size:
        raise ValueError("cannot reshape array: vdot needs operands of equal size")
    return matmul(to_shape(a, (a.size,)), to_shape(b, (b.size,)))


@implements(np.inner, cases=(_PAIR, Case(((2, 3), (4, 3))), Case(((), (2,)), name="scalar")))
def inner(a: Any, b: Any, /) -> Any:
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return tensordot(a, b, ((a.ndim - 1,), (b.ndim - 1,)))


@implements(np.outer, cases=(Case(((2,), (3,))), Case(((2, 2), (3,)))))
def outer(a: Any, b: Any, out: Any = None) -> Any:
    _no_out("outer", out)
    a, b = as_array(a), as_array(b)
    return np.multiply(to_shape(a, (a.size, 1)), to_shape(b, (1, b.size)))


@implements(np.linalg.outer, cases=(Case(((2,), (3,))),))
def linalg_outer(x1: Any, x2: Any, /) -> Any:
    a, b = as_array(x1), as_array(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError("Input arrays must be one-dimensional")
    return outer(a, b)


implements(np.linalg.matmul)(lambda x1, x2, /: matmul(x1, x2))


def _axes(axes: Any, a: Any, b: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if hasattr(axes, "__iter__"):
        left, right = axes
        left = tuple(left) if hasattr(left, "__len__") else (left,)
        right = tuple(right) if hasattr(right, "__len__") else (right,)
    else:
        k = int(axes)
        left, right = tuple(range(-k, 0)), tuple(range(k))
    left, right = normalize_axis_tuple(left, a.ndim), normalize_axis_tuple(right, b.ndim)
    if [a.shape[i] for i in left] != [b.shape[j] for j in right]:
        raise ValueError(
            f"{here()}: tensordot: shape-mismatch for sum: {a.shape} over axes {left} and "
            f"{b.shape} over axes {right}"
        )
    return left, right


@implements(
    np.tensordot,
    cases=(
        Case(((2, 3, 4), (3, 4, 2))),
        Case(((2, 3), (3, 4), 1)),
        Case(((2, 3), (4, 2)), {"axes": (0, 1)}),
        Case(((2, 3, 4), (4, 3)), {"axes": ((1, 2), (1, 0))}),
        Case(((2,), (3,), 0), name="outer"),
    ),
)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = as_array(a), as_array(b)
    left, right = _axes(axes, a, b)
    return contract(a, b, left, right)


implements(np.linalg.tensordot)(lambda x1, x2, /, *, axes=2: tensordot(x1, x2, axes))


def contract(a: Any, b: Any, left: Sequence[int], right: Sequence[int]) -> Any:
    """Sum of products over paired axes: the free axes of a, then those of b."""
    a, b = same_dtype(a, b)
    free_a = [i for i in range(a.ndim) if i not in left]
    free_b = [j for j in range(b.ndim) if j not in right]
    m, n = [a.shape[i] for i in free_a], [b.shape[j] for j in free_b]
    k = prod(a.shape[i] for i in left)
    matrix_a = to_shape(permuted(a, (*free_a, *left)), (prod(m), k))
    matrix_b = to_shape(permuted(b, (*right, *free_b)), (k, prod(n)))
    return to_shape(ops.matmul(matrix_a, matrix_b), (*m, *n))


@implements(
    np.linalg.multi_dot,
    cases=(Case(([(2, 3), (3, 4), (4, 2)],)), Case(([(3,), (3, 4), (4,)],), name="vectors")),
)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    _no_out("multi_dot", out)
    found = [as_array(a) for a in arrays]
    if len(found) < 2:
        raise ValueError("Expecting at least two arrays.")
    shapes = [a.shape for a in found]
    row, column = len(shapes[0]) == 1, len(shapes[-1]) == 1
    if row:
        found[0] = to_shape(found[0], (1, *shapes[0]))
    if column:
        found[-1] = to_shape(found[-1], (*shapes[-1], 1))
    for a in found:
        if a.ndim != 2:
            raise np.linalg.LinAlgError(
                f"{a.ndim}-dimensional array given. Array must be two-dimensional"
            )
    y = _chain(found, _cheapest([a.shape[0] for a in found] + [found[-1].shape[1]]), 0, -1)
    shape = y.shape[1:] if row else y.shape
    return to_shape(y, shape[:-1] if column else shape)


def _cheapest(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to cut each product of matrices i..j (matrix-chain order, Cormen et al., 15.2)."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            best = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
            cost[i, j], cut[i, j] = best
    return cut


def _chain(found: list[Any], cut: dict[tuple[int, int], int], i: int, j: int) -> Any:
    j %= len(found)
    if i == j:
        return found[i]
    k = cut[i, j]
    return matmul(_chain(found, cut, i, k), _chain(found, cut, k + 1, j))


@implements(np.linalg.vecdot, cases=(_PAIR, Case(((2, 3), (3,)))))
def linalg_vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return vecdot(x1, x2, axis=axis)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, keepdims: bool = False, **kwargs: Any) -> Any:
    """np.vecdot over one axis: the first operand is conjugated."""
    if kwargs:
        raise TypeError(f"{here()}: vecdot does not record the keywords {sorted(kwargs)}")
    a, b = same_dtype(as_array(x1), as_array(x2))
    if axis != -1:
        a, b = np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1)
    if a.dtype.kind == "c":
        a = np.conjugate(a)
    if a.shape[-1] != b.shape[-1]:
        raise _mismatch("vecdot", a, b, -1, -1)
    y = ops.matmul(to_shape(a, (*a.shape[:-1], 1, a.shape[-1])), to_shape(b, (*b.shape, 1)))
    y = to_shape(y, y.shape[:-2])
    return np.expand_dims(y, axis) if keepdims else y


if hasattr(np, "vecdot"):
    implements(
        np.vecdot,
        cases=(
            _PAIR,
            Case(((2, 3), (3,))),
            Case(((3, 2), (3, 2)), {"axis": 0}),
            Case(((2, 3), (2, 3)), {"axis": 1, "keepdims": True}),
        ),
    )(vecdot)
if hasattr(np, "matvec"):  # NumPy 2.2
    implements(np.matvec, cases=(Case(((2, 3), (3,))), Case(((4, 2, 3), (4, 3)))))(
        lambda x1, x2, /: matmul(as_array(x1), as_array(x2)[..., None])[..., 0]
    )
    implements(np.vecmat, cases=(Case(((2,), (2, 3))),))(
        lambda x1, x2, /: matmul(np.conjugate(as_array(x1))[..., None, :], x2)[..., 0, :]
    )


@implements(np.kron, cases=(Case(((2, 3), (2, 2))), Case(((2,), (3,))), Case(((2,), (2, 2)))))
def kron(a: Any, b: Any) -> Any:
    a, b = as_array(a), as_array(b)
    ndim = max(a.ndim, b.ndim)
    m = (1,) * (ndim - a.ndim) + a.shape
    n = (1,) * (ndim - b.ndim) + b.shape
    left = to_shape(a, tuple(k for i in m for k in (i, 1)))
    right = to_shape(b, tuple(k for j in n for k in (1, j)))
    return to_shape(e.multiply(left, right), tuple(i * j for i, j in zip(m, n, strict=True)))


@implements(
    np.cross,
    cases=(Case(((3,), (3,))), Case(((2, 3), (3,))), Case(((3, 2), (3, 2)), {"axis": 0})),
)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(as_array(a), axisa, -1), np.moveaxis(as_array(b), axisb, -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        raise ValueError("incompatible dimensions for cross product\n(dimension must be 2 or 3)")
    a0, a1, b0, b1 = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
    z = a0 * b1 - a1 * b0
    if a.shape[-1] == 2 and b.shape[-1] == 2:
        return z
    if a.shape[-1] == 2:
        x, y = a1 * b[..., 2], -(a0 * b[..., 2])
    elif b.shape[-1] == 2:
        x, y = -(a[..., 2] * b1), a[..., 2] * b0
    else:
        x, y = a1 * b[..., 2] - a[..., 2] * b1, a[..., 2] * b0 - a0 * b[..., 2]
    return np.moveaxis(np.stack([x, y, z], axis=-1), -1, axisc)


implements(np.linalg.cross, cases=(Case(((2, 3), (2, 3))),))(
    lambda x1, x2, /, *, axis=-1: cross(x1, x2, axis=axis)
)
