"""scipy.linalg's decompositions and least squares that numpy.linalg has not, on tracers."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.gather import along, take
from jittape.functions.linalg import inexact, matrices
from jittape.functions.linalg import real_if_possible as _real_if_possible
from jittape.ops import linalg as ops
from jittape.ops import matrix_equations as eqs
from jittape.ops.matrices import adjoint, lower, masked, vector_part
from jittape.ops.product import matmul, swap_last
from jittape.ops.shape import concatenate, reshape, strided_slice
from jittape.scipy.names import functions_of
from jittape.tracing.guards import pin
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer


def refuse(name: str, **options: Any) -> None:
    """Raise where an option is given that is not recorded (None and False are their defaults)."""
    for option, value in options.items():
        if value is not None and value is not False:
            raise TraceError(
                f"{here()}: scipy.linalg.{name} with {option}={value!r} is not recorded by "
                "jittape; leave it out, or wrap the call in jittape.custom_vjp"
            )


def _rows(x: Any, start: int, count: int) -> Any:
    """x[..., start:start + count, :]"""
    *lead, _, n = x.shape
    return strided_slice(x, index=(*((0, 1, k) for k in lead), (start, 1, count), (0, 1, n)))


def _reordered(x: Any, order: Any) -> Any:
    """The rows of matrices x (..., m, n) in an order (..., m)."""
    if order.ndim == 1 and x.ndim > 2:
        order = np.broadcast_to(order, (*x.shape[:-2], order.shape[0]))
    if order.ndim + 1 > x.ndim:
        x = np.broadcast_to(x, (*order.shape[:-1], *x.shape[-2:]))
    return along(x, reshape(order, shape=(*order.shape, 1)), x.ndim - 2)


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """(lu, piv): L and U of P A = L U in one matrix, and LAPACK's row interchanges.

    a: (..., m, n). As scipy.linalg.lu_factor.
    """
    a = matrices("lu_factor", a)
    m, n = a.shape[-2:]
    piv = eqs.lu_pivots(a)
    a = _reordered(a, eqs.row_order(piv, m=m))
    k, axis = min(m, n), a.ndim
    corner = vector_part(_rows(a, 0, k), 0, k)
    out = eqs.lu(corner)
    if m > n:
        # the rows below: L2 = A2 U^-1
        rest = swap_last(_rows(a, k, m - k))
        below = ops.solve_triangular(swap_last(out), rest, lower=True, unit=False)
        out = concatenate(out, swap_last(below), axis=axis - 2)
    elif n > m:
        right = ops.solve_triangular(out, vector_part(a, k, n - k), lower=True, unit=True)
        out = concatenate(out, right, axis=axis - 1)
    return out, piv if isinstance(piv, Tracer) else piv.astype(np.int32)


def lu(
    a: Any,
    permute_l: bool = False,
    overwrite_a: bool = False,
    check_finite: bool = True,
    p_indices: bool = False,
) -> tuple:
    """(P, L, U) with A = P L U, or (P L, U) with permute_l. As scipy.linalg.lu."""
    a = matrices("lu", a)
    m, n = a.shape[-2:]
    k = min(m, n)
    out, piv = lu_factor(a)
    left = lower(vector_part(out, 0, k), -1) + np.eye(m, k, dtype=a.dtype)
    mask = ~np.tri(k, n, -1, dtype=bool)
    right = masked(_rows(out, 0, k), mask)
    back = np.argsort(eqs.row_order(piv, m=m), axis=-1)
    if permute_l:
        return _reordered(left, back), right
    if p_indices:
        return back, left, right
    return take(np.eye(m, dtype=a.dtype), back, axis=0), left, right


def lu_solve(
    lu_and_piv: tuple[Any, Any],
    b: Any,
    trans: int = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """x with A x = b (trans 0), A^T x = b (1) or A^H x = b (2). As scipy.linalg.lu_solve."""
    out, piv = lu_and_piv
    out, b = inexact(out, b)
    order = eqs.row_order(np.asarray(piv, np.int64) if not isinstance(piv, Tracer) else piv,
                          m=out.shape[-1])  # fmt: skip
    vector = b.ndim == 1
    x = reshape(b, shape=(*b.shape, 1)) if vector else b
    if trans == 0:
        x = ops.solve_triangular(out, _reordered(x, order), lower=True, unit=True)
        x = ops.solve_triangular(out, x, lower=False, unit=False)
    else:
        out = swap_last(out) if trans == 1 else adjoint(out)
        x = ops.solve_triangular(out, x, lower=True, unit=False)
        x = ops.solve_triangular(out, x, lower=False, unit=True)
        x = _reordered(x, np.argsort(order, axis=-1))
    return reshape(x, shape=x.shape[:-1]) if vector else x


def polar(a: Any, side: str = "right") -> tuple[Any, Any]:
    """(u, p) with a = u p, or p u where side is "left". As scipy.linalg.polar."""
    if side not in ("right", "left"):
        raise ValueError("`side` must be either 'right' or 'left'")
    w, s, vh = np.linalg.svd(matrices("polar", a), full_matrices=False)
    u = matmul(w, vh)
    if side == "right":
        return u, matmul(adjoint(vh) * s[..., None, :], vh)
    return u, matmul(w * s[..., None, :], adjoint(w))


def orth(A: Any, rcond: Any = None) -> Any:
    """An orthonormal basis of the range of A. As scipy.linalg.orth; the rank is guarded."""
    a = matrices("orth", A)
    u, s, _ = np.linalg.svd(a, full_matrices=False)
    limit = np.finfo(s.dtype).eps * max(a.shape) if rcond is None else rcond
    rank = np.sum(s > np.max(s) * limit)
    return u[:, : int(pin(rank)) if isinstance(rank, Tracer) else int(rank)]


def pinvh(
    a: Any, atol: Any = None, rtol: Any = None, lower: bool = True, return_rank: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """Pseudo-inverse of Hermitian matrices. As scipy.linalg.pinvh."""
    refuse("pinvh", atol=atol, return_rank=return_rank)
    a = matrices("pinvh", a, square=True)
    w, v = np.linalg.eigh(a, "L" if lower else "U")
    size = np.abs(w)
    limit = max(a.shape) * np.finfo(w.dtype).eps if rtol is None else rtol
    large = size > np.max(size) * limit
    weights = np.where(large, 1.0 / np.where(large, w, 1.0), 0.0)
    return matmul(v * weights[..., None, :], adjoint(v))


def eig(
    a: Any, b: Any = None, left: bool = False, right: bool = True, overwrite_a: bool = False,
    overwrite_b: bool = False, check_finite: bool = True, homogeneous_eigvals: bool = False,
) -> Any:  # fmt: skip
    """Eigenvalues (complex) and vectors of a v = w v, or of a v = w b v. As scipy.linalg.eig."""
    refuse("eig", left=left, homogeneous_eigvals=homogeneous_eigvals)
    if b is not None:
        refuse("eig", b="a matrix" if right else None)
        a = np.linalg.solve(b, a)
    w, v = np.linalg.eig(a)
    v = _real_if_possible(v, a) if w.dtype.kind == "f" else v
    w = w.astype(np.result_type(w.dtype, np.complex64))
    return (w, v) if right else w


def eigvals(
    a: Any, b: Any = None, overwrite_a: bool = False, check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:  # fmt: skip
    """Eigenvalues of a, or of a v = w b v; complex. As scipy.linalg.eigvals."""
    return eig(a, b, right=False, homogeneous_eigvals=homogeneous_eigvals)


def lstsq(
    a: Any, b: Any, cond: Any = None, overwrite_a: bool = False, overwrite_b: bool = False,
    check_finite: bool = True, lapack_driver: Any = None,
) -> tuple:  # fmt: skip
    """(x, residues, rank, singular values) of min |b - a x|. As scipy.linalg.lstsq."""
    a, b = inexact(a, b)
    limit = np.finfo(a.dtype).eps if cond is None else cond
    x, residues, rank, s = np.linalg.lstsq(a, b, limit)
    if b.ndim == 1 and residues.shape == (1,):
        residues = residues[0]
    return x, residues, int(rank), None if lapack_driver == "gelsy" else s


__all__ = functions_of("linalg_factors")
