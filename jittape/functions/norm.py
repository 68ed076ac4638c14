"""numpy.linalg's norms and condition numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.functions.linalg import inexact, inv, svd
from jittape.ops.declare import Case
from jittape.ops.matrices import general, real_part
from jittape.tracing.dispatch import implements

_KINK = "the gradient of a norm at 0 is 0"


def _where_zero(x: Any, at_zero: Any, function: Any) -> Any:
    """function(x), and `at_zero`, as a constant, where x is 0."""
    null = x == 0
    return np.where(null, at_zero, function(np.where(null, 1.0, x)))


def _modulus(x: Any) -> Any:
    """|x| with gradient 0 at 0, of real and complex numbers."""
    if x.dtype.kind != "c":
        return np.abs(x)
    return _where_zero(np.real(x) ** 2 + np.imag(x) ** 2, 0.0, np.sqrt)


def _two(x: Any, axis: Any, keepdims: bool) -> Any:
    square = np.square(x)
    if x.dtype.kind == "c":
        square = np.square(np.real(x)) + np.square(np.imag(x))
    total = np.sum(square, axis=axis, keepdims=keepdims)
    return _where_zero(total, 0.0, np.sqrt)


def _vector(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    """Norms of vectors along `axis` (an int, a tuple, or None for all)."""
    if ord is None or ord == 2:
        return _two(x, axis, keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord == 0:
        return np.sum((x != 0).astype(real_part(x).dtype), axis=axis, keepdims=keepdims)
    size = _modulus(x)
    if ord == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if ord < 0:
        return np.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)
    powers = _where_zero(size, 0.0, lambda y: y**ord)
    total = np.sum(powers, axis=axis, keepdims=keepdims)
    return _where_zero(total, 0.0, lambda y: y ** (1 / ord))


def _matrix(x: Any, ord: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    rows, columns = (a % x.ndim for a in axes)
    if rows == columns:
        raise ValueError("Duplicate axes given.")
    if ord in (None, "fro", "f"):
        return _two(x, (rows, columns), keepdims)
    if ord in (2, -2, "nuc"):
        s = svd(np.moveaxis(x, (rows, columns), (-2, -1)), compute_uv=False)
        s = np.where(s == 0, 0.0, s)  # singular values that are 0 have gradient 0
        out = np.sum(s, axis=-1) if ord == "nuc" else (np.max if ord == 2 else np.min)(s, axis=-1)
    elif ord in (1, -1, np.inf, -np.inf):
        along, rest = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = np.sum(_modulus(x), axis=along)
        rest -= rest > along
        out = (np.max if ord > 0 else np.min)(sums, axis=rest)
    else:
        raise ValueError("Invalid norm order for matrices.")
    if keepdims:
        shape = list(x.shape)
        shape[rows] = shape[columns] = 1
        out = np.reshape(out, tuple(shape))
    return out


_VECTOR = np.array([0.5, -1.5, 2.0])


@implements(
    np.linalg.norm,
    cases=(
        Case(((3,),)),
        *(Case((_VECTOR,), {"ord": p}) for p in (np.inf, -np.inf, 0, 1, 3, 0.5, -1)),
        *(
            Case((general(3, 2),), {"ord": p})
            for p in ("fro", "nuc", np.inf, -np.inf, 1, -1, 2, -2)
        ),
        Case(((2, 3),), {"axis": 1}),
        Case(((2, 3, 2),), {"axis": (0, 2), "keepdims": True}),
        Case((general(2, 3, 2),), {"ord": 2, "axis": (1, 2), "keepdims": True}),
        Case((np.array([1 + 2j, -0.5j]),), {"ord": 1}, "complex"),
    ),
    kinks=_KINK,
)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    (x,) = inexact(x)
    if axis is None:
        if ord is None or (ord in ("f", "fro") and x.ndim == 2) or (ord == 2 and x.ndim == 1):
            return _two(x, None, keepdims)
        axis = tuple(range(x.ndim))
    elif not isinstance(axis, tuple):
        axis = (int(axis),)
    if len(axis) == 1:
        return _vector(x, ord, axis[0], keepdims)
    if len(axis) == 2:
        return _matrix(x, ord, axis, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


@implements(np.linalg.vector_norm, cases=(Case(((2, 3),)), Case(((2, 3),), {"axis": 0, "ord": 3})))
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    (x,) = inexact(x)
    return _vector(x, ord, axis, keepdims)


@implements(
    np.linalg.matrix_norm, cases=(Case((general(2, 3, 2),)), Case((general(3, 2),), {"ord": 2}))
)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    (x,) = inexact(x)
    return _matrix(x, ord, (-2, -1), keepdims)


@implements(
    np.linalg.cond,
    cases=(
        Case((general(3, 3),)),
        *(Case((general(3, 3),), {"p": p}) for p in ("fro", 1, np.inf, -2)),
        Case((general(2, 3, 2),), name="not square"),
    ),
)
def cond(x: Any, p: Any = None) -> Any:
    (x,) = inexact(x)
    if p is None or p in (2, -2):
        s = svd(x, compute_uv=False)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, axis=(-2, -1)) * norm(inv(x), p, axis=(-2, -1))
