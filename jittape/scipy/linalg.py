"""What scipy.linalg writes on top of numpy.linalg, on traced and concrete arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.functions.linalg import inexact, matrices
from jittape.ops import linalg as ops
from jittape.ops.cholesky import cholesky as _factor
from jittape.ops.matrices import adjoint, hermitian_from_lower
from jittape.ops.matrix_equations import qr_order
from jittape.ops.product import swap_last
from jittape.ops.shape import reshape
from jittape.scipy.linalg_factors import *  # noqa: F403
from jittape.scipy.linalg_factors import refuse
from jittape.scipy.linalg_functions import *  # noqa: F403
from jittape.scipy.names import functions_of

__all__ = functions_of("linalg", "linalg_factors", "linalg_functions")


def expm(A: Any) -> Any:
    """Matrix exponential of square matrices (..., n, n). As scipy.linalg.expm.

    Raises LinAlgError where the matrices are not square. Needs SciPy.
    """
    return ops.expm(matrices("expm", A, square=True))


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """x with op(a) x = b, op(a) being a, its transpose (trans 1 or "T") or conjugate transpose
    (2 or "C"), and a one triangle of a square matrix. As scipy.linalg.solve_triangular.

    a: (..., n, n); b: (n,) or (..., n, k). Raises LinAlgError where a diagonal element is 0.
    overwrite_b and check_finite are accepted and have no effect.
    """
    a, b = inexact(a, b)
    a = matrices("solve_triangular", a, square=True)
    if trans in (1, "T"):
        a, lower = swap_last(a), not lower
    elif trans in (2, "C"):
        a, lower = adjoint(a), not lower
    elif trans not in (0, "N"):
        raise ValueError(f"trans is one of 0, 1, 2, 'N', 'T' and 'C', not {trans!r}")
    vector = b.ndim == 1
    x = ops.solve_triangular(
        a,
        reshape(b, shape=(*b.shape, 1)) if vector else b,
        lower=bool(lower),
        unit=bool(unit_diagonal),
    )
    return reshape(x, shape=x.shape[:-1]) if vector else x


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """Cholesky factor of Hermitian positive definite matrices, upper unless `lower`; that
    triangle of `a` alone is read. As scipy.linalg.cholesky. Raises LinAlgError."""
    a = matrices("cholesky", a, square=True)
    return _factor(a) if lower else adjoint(_factor(adjoint(a)))


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """(c, lower) for `cho_solve`. As scipy.linalg.cho_factor, but the other triangle of c is 0."""
    return cholesky(a, lower), lower


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """x with A x = b from the Cholesky factor of A. As scipy.linalg.cho_solve.

    c_and_lower: as `cho_factor` returns it. b: (n,) or (..., n, k).
    """
    c, lower = c_and_lower
    if lower:
        return solve_triangular(c, solve_triangular(c, b, lower=True), trans="C", lower=True)
    return solve_triangular(c, solve_triangular(c, b, trans="C"))


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Inverse of square matrices. As scipy.linalg.inv."""
    return np.linalg.inv(a)


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Determinant of square matrices, in double precision. As scipy.linalg.det."""
    y = np.linalg.det(a)
    return y.astype(np.result_type(y.dtype, np.float64))


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    """x with a x = b. As scipy.linalg.solve for assume_a None, "gen" and "pos" ("sym" and "her"
    where the whole matrix is given)."""
    if assume_a in ("pos", "positive definite"):
        return cho_solve(cho_factor(a, lower), b)
    if assume_a not in (None, "gen", "general", "sym", "symmetric", "her", "hermitian"):
        refuse("solve", assume_a=assume_a)
    return np.linalg.solve(swap_last(matrices("solve", a)) if transposed else a, b)


def norm(
    a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True
) -> Any:
    """Norms of matrices and vectors. As scipy.linalg.norm."""
    return np.linalg.norm(a, ord, axis, keepdims)


def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: Any = None,
) -> Any:
    """Eigenvalues and vectors of a v = w v, or of a v = w b v with b positive definite. As
    scipy.linalg.eigh."""
    refuse("eigh", subset_by_value=subset_by_value)
    refuse("eigh", type=type != 1)
    if subset_by_index is not None:
        first, last = subset_by_index
        found = eigh(a, b, lower=lower)
        w, v = found[0][..., first : last + 1], found[1][..., first : last + 1]
        return w if eigvals_only else (w, v)
    side: Any = "L" if lower else "U"
    if b is None:
        w, v = np.linalg.eigh(a, side)
        return w if eigvals_only else (w, v)
    a = matrices("eigh", a, square=True)
    low = cholesky(b, lower=True) if lower else adjoint(cholesky(b))
    half = solve_triangular(low, hermitian_from_lower(a if lower else adjoint(a)), lower=True)
    w, v = np.linalg.eigh(adjoint(solve_triangular(low, adjoint(half), lower=True)))
    return w if eigvals_only else (w, solve_triangular(low, v, trans="C", lower=True))


def eigvalsh(a: Any, b: Any = None, *, lower: bool = True, **options: Any) -> Any:
    """The eigenvalues of `eigh`. As scipy.linalg.eigvalsh."""
    return eigh(a, b, lower=lower, eigvals_only=True, **options)


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """Singular value decomposition (U, s, Vh). As scipy.linalg.svd."""
    if not compute_uv:
        return np.linalg.svd(a, compute_uv=False)
    return tuple(np.linalg.svd(a, full_matrices))


def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Singular values, descending. As scipy.linalg.svdvals."""
    return np.linalg.svd(a, compute_uv=False)


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """QR decomposition (Q, R), mode "full" or "economic". As scipy.linalg.qr."""
    if mode not in ("full", "economic", "r"):
        refuse("qr", mode=mode)
    a = matrices("qr", a)
    order = None
    if pivoting:
        if a.ndim > 2:
            refuse("qr", pivoting="stacks of matrices")
        order = qr_order(a)
        a = np.take(a, order, axis=-1)
    if mode == "r":
        found: tuple = (np.linalg.qr(a, "r"),)
    else:
        found = tuple(np.linalg.qr(a, "complete" if mode == "full" else "reduced"))
    return found if order is None else (*found, order)


def pinv(
    a: Any,
    *,
    atol: Any = None,
    rtol: Any = None,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    """Pseudo-inverse. As scipy.linalg.pinv."""
    refuse("pinv", atol=atol, return_rank=return_rank)
    a = matrices("pinv", a)
    limit = max(a.shape[-2:]) * np.finfo(a.dtype).eps if rtol is None else rtol
    return np.linalg.pinv(a, rtol=limit)
