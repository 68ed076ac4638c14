"""What scipy.linalg writes on top of numpy.linalg, on traced and concrete arrays."""

from __future__ import annotations

from typing import Any

from jittape.functions.linalg import inexact, matrices
from jittape.ops import linalg as ops
from jittape.ops.matrices import adjoint
from jittape.ops.product import swap_last
from jittape.ops.shape import reshape

__all__ = ["cho_factor", "cho_solve", "cholesky", "expm", "solve_triangular"]


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
    return ops.cholesky(a) if lower else adjoint(ops.cholesky(adjoint(a)))


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
