"""What the rules of linear algebra are made of: parts of matrices, packed results, samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.ops.declare import Op, declare
from jittape.ops.elementwise import cast, where
from jittape.ops.product import swap_last
from jittape.ops.reduce import sum
from jittape.ops.shape import concatenate, reshape, strided_slice
from jittape.types import Aval, aval


def general(*shape: int) -> np.ndarray:
    """A well-conditioned sample: distinct singular values and real parts of eigenvalues."""
    n = min(shape[-2:])
    # (no random numbers: importing numpy.random takes longer than all ops together)
    a = 0.2 * np.sin(1.0 + 2.3 * np.arange(float(np.prod(shape)))).reshape(shape)
    a[..., range(n), range(n)] += 1.0 + np.arange(n)
    return a


def hermitian(*shape: int) -> np.ndarray:
    """A sample: symmetric, with distinct eigenvalues."""
    a = general(*shape)
    return a + np.swapaxes(a, -1, -2)


def on_stacks(op: Op) -> Op:
    """Declare an op on stacks of matrices: a batch is one more axis of the stack."""

    def batch(args: list[Any], which: tuple[bool, ...], size: int, **params: Any) -> Any:
        rank = max([x.ndim - b for x, b in zip(args, which, strict=True)])
        for i, (x, b) in enumerate(zip(args, which, strict=True)):
            if b and x.ndim <= rank:
                ones = (1,) * (rank + 1 - x.ndim)
                args[i] = reshape(x, shape=(size, *ones, *x.shape[1:]))
        return op(*args, **params)

    op.batch = batch
    return declare(op)


def conj(x: Any) -> Any:
    return np.conjugate(x) if x.dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """Conjugate transpose."""
    return conj(swap_last(x))


def masked(x: Any, mask: np.ndarray) -> Any:
    """x where the mask (of one matrix) holds, 0 elsewhere."""
    return where(mask, x, x.dtype.type(0))


def lower(x: Any, k: int = 0) -> Any:
    """The elements on and below the k-th diagonal."""
    return masked(x, np.tri(x.shape[-2], x.shape[-1], k, dtype=bool))


def diagonal_only(x: Any) -> Any:
    return masked(x, np.eye(x.shape[-2], x.shape[-1], dtype=bool))


def real_part(x: Any) -> Any:
    return np.real(x) if x.dtype.kind == "c" else x


def vector_part(x: Any, start: int, count: int) -> Any:
    """x[..., start:start + count]"""
    index = (*((0, 1, n) for n in x.shape[:-1]), (start, 1, count))
    return strided_slice(x, index=index)


def matrix_part(x: Any, start: int, rows: int, columns: int) -> Any:
    """A matrix that is packed row by row from x[..., start] on."""
    part = vector_part(x, start, rows * columns)
    return reshape(part, shape=(*x.shape[:-1], rows, columns))


def pack(*parts: Any) -> Any:
    """Parts (..., k) one after another along the last axis, in their common dtype."""
    dtype = np.result_type(*[p.dtype for p in parts])
    parts = tuple(p if p.dtype == dtype else cast(p, dtype=dtype) for p in parts)
    return concatenate(*parts, axis=len(parts[0].shape) - 1)


def flat(x: Any) -> Any:
    """Matrices (..., m, n) as vectors (..., m n)."""
    return reshape(x, shape=(*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def column(x: Any) -> Any:
    """x[..., :, None]"""
    return reshape(x, shape=(*x.shape, 1))


def row(x: Any) -> Any:
    """x[..., None, :]"""
    return reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def scalar_of(x: Any) -> Any:
    """x[..., None, None]"""
    return reshape(x, shape=(*x.shape, 1, 1))


def diagonal_of(x: Any) -> Any:
    """The diagonals (..., n) of square matrices."""
    return sum(diagonal_only(x), axes=(x.ndim - 1,))


def safe_reciprocal(x: Any) -> Any:
    """1 / x, and 0 where x is 0: what degenerate eigenvalues and rank loss contribute."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    null = np.equal(x, zero)
    return where(null, zero, np.divide(one, where(null, one, x)))


def from_lower(g: Any) -> Any:
    """Of a function of a Hermitian matrix whose lower triangle alone is read: the cotangent of
    that triangle from the cotangent of the whole matrix."""
    both = g + adjoint(g)
    diagonal = diagonal_only(g)
    if g.dtype.kind == "c":
        diagonal = diagonal_only((g + conj(g)) * 0.5)
    return lower(both, -1) + diagonal


def hermitian_from_lower(t: Any) -> Any:
    """The Hermitian matrix with the lower triangle of t: the tangent that belongs to t."""
    strict = lower(t, -1)
    diagonal = diagonal_only(t)
    if t.dtype.kind == "c":
        diagonal = diagonal_only((t + conj(t)) * 0.5)
    return strict + adjoint(strict) + diagonal


# -- shapes --------------------------------------------------------------------------------------


def check_matrix(name: str, a: Aval, square: bool = False) -> None:
    """What numpy.linalg checks before it computes."""
    if a.ndim < 2:
        raise np.linalg.LinAlgError(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if square and a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    if a.dtype.char not in "fdFD":
        raise TypeError(f"array type {a.dtype.name} is unsupported in linalg ({name})")


def square(name: str) -> Callable[..., Aval]:
    """Shape rule: the same shape, of square matrices."""

    def infer(a: Aval, **params: Any) -> Aval:
        check_matrix(name, a, square=True)
        return a

    return infer


def packed(name: str, length: Callable[..., int], square: bool = False) -> Callable[..., Aval]:
    """Shape rule of results that are packed to one vector per matrix."""

    def infer(a: Aval, **params: Any) -> Aval:
        check_matrix(name, a, square)
        return aval((*a.shape[:-2], length(*a.shape[-2:], **params)), a.dtype)

    return infer


LOWER_ONLY = "reads the lower triangle only, and its gradient is zero in the other"
