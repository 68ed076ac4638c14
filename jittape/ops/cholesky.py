"""Cholesky factors and their derivatives. See `ops.linalg` for the conventions.

Source: I. Murray, Differentiation of the Cholesky decomposition, arXiv:1602.07527.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op
from jittape.ops.linalg import scipy_is_here, solve_triangular
from jittape.ops.matrices import (
    LOWER_ONLY,
    adjoint,
    check_matrix,
    conj,
    diagonal_only,
    from_lower,
    general,
    hermitian,
    hermitian_from_lower,
    lower,
    on_stacks,
    square,
)
from jittape.ops.product import matmul, swap_last
from jittape.types import Aval, aval

BLOCK = 48  # columns of a block; 32 and 64 take 4 % longer at n = 300


def _halved(x: Any) -> Any:
    """The lower triangle with half its diagonal (Murray's Phi)."""
    return lower(x, -1) + diagonal_only(x) * 0.5


# -- the cotangent -------------------------------------------------------------------------------


def _around(factor: Any, p: Any) -> Any:
    """L^-H P L^-1"""
    upper = adjoint(factor)
    left = solve_triangular(upper, p, lower=False, unit=False)
    # Y L^-1 = (L^-H Y^H)^H
    return adjoint(solve_triangular(upper, adjoint(left), lower=False, unit=False))


def _pullback_infer(factor: Aval, g: Aval) -> Aval:
    check_matrix("cholesky", factor, square=True)
    if factor.dtype != g.dtype:
        raise TypeError(f"cholesky_pullback: {factor} and {g} do not match")
    if factor.shape[-2:] != g.shape[-2:]:
        raise ValueError(f"cholesky_pullback: {factor} and {g} do not match")
    return aval(np.broadcast_shapes(factor.shape, g.shape), g.dtype)


def _pullback_jvp(tangents: tuple, out: Any, factor: Any, g: Any) -> Any:
    # S = L^-T P L^-1 with P = Phi(L^T G): dS = L^-T (dP - dL^T S L - L^T S dL) L^-1
    t_factor, tg = tangents
    below = lower(factor)
    moved = None if tg is None else _halved(matmul(swap_last(below), lower(tg)))
    if t_factor is not None:
        t = lower(t_factor)
        p = _halved(matmul(swap_last(below), lower(g)))
        upper = swap_last(below)
        left = solve_triangular(upper, p, lower=False, unit=False)
        right = swap_last(solve_triangular(upper, swap_last(p), lower=False, unit=False))
        change = _halved(matmul(swap_last(t), lower(g)))
        change = change - matmul(swap_last(t), left) - matmul(right, t)
        moved = change if moved is None else moved + change
    return from_lower(_around(below, moved))


def _inverse(d: np.ndarray) -> np.ndarray:
    """Of a lower triangular matrix."""
    if not scipy_is_here():
        return np.tril(np.linalg.inv(np.tril(d)))
    from scipy.linalg import lapack

    trtri = lapack.dtrtri if d.dtype.char == "d" else lapack.strtri
    inverse, info = trtri(d.T, lower=0)  # of the transposed memory the upper triangle
    if info:
        raise np.linalg.LinAlgError("Singular matrix")
    return np.tril(inverse.T)


def _block(d: np.ndarray, inverse: np.ndarray, g: np.ndarray) -> np.ndarray:
    """S + S^T of matrices by the formula: twice the diagonal of the cotangent."""
    p = np.tril(np.swapaxes(d, -1, -2) @ g)
    p *= 1 - 0.5 * np.eye(d.shape[-1], dtype=d.dtype)
    s = np.swapaxes(inverse, -1, -2) @ p @ inverse
    return s + np.swapaxes(s, -1, -2)


def _cholesky_pullback(factor: Any, g: Any) -> np.ndarray:
    """Blocks of columns from the last to the first, in place: 2/3 n^3 operations where the
    formula takes 4 n^3."""
    factor, g = np.asarray(factor), np.asarray(g)
    n = factor.shape[-1]
    half = 1 - 0.5 * np.eye(n, dtype=factor.dtype)
    if factor.ndim > 2 or g.ndim > 2:
        d = np.tril(factor)
        return np.tril(_block(d, np.linalg.inv(d), np.tril(g)) * half)
    out = np.tril(g)
    for high in range(n, 0, -BLOCK):
        low = max(0, high - BLOCK)
        left, own, below = slice(0, low), slice(low, high), slice(high, n)
        d = np.tril(factor[own, own])
        inverse = _inverse(d)
        if high < n:
            c = out[below, own] @ inverse
            out[below, own] = c
            out[own, own] -= np.tril(c.T @ factor[below, own])
            out[below, left] -= c @ factor[own, left]
            out[own, left] -= c.T @ factor[below, left]
        both = _block(d, inverse, out[own, own])
        out[own, left] -= both @ factor[own, left]
        out[own, own] = np.tril(both * half[: high - low, : high - low])
    return out


cholesky_pullback = on_stacks(
    Op(
        name="cholesky_pullback",
        kind=Kind.HOST,
        infer=_pullback_infer,
        evaluate=_cholesky_pullback,
        jvp=_pullback_jvp,
        cases=(
            Case((general(3, 3), (3, 3))),
            Case((general(2, 2, 2), (2, 2, 2)), name="batched"),
        ),
        doc="cotangent of the lower triangle of A from that of its Cholesky factor L, both real",
    )
)


# -- the factor ----------------------------------------------------------------------------------


def _cholesky_vjp(g: Any, out: Any, a: Any) -> tuple:
    if g.dtype.kind != "c":
        return (cholesky_pullback(out, g),)
    # G = L^-H Phi(L^H G_L) L^-1 in Murray's conjugated convention, hence the conj around it
    p = _halved(matmul(adjoint(out), conj(g)))
    p = lower(p, -1) + diagonal_only((p + conj(p)) * 0.5)
    return (from_lower(conj(_around(out, p))),)


def _cholesky_jvp(tangents: tuple, out: Any, a: Any) -> Any:
    t = hermitian_from_lower(tangents[0])
    x = solve_triangular(out, t, lower=True, unit=False)
    y = adjoint(solve_triangular(out, adjoint(x), lower=True, unit=False))
    return matmul(out, _halved(y))


cholesky = on_stacks(
    Op(
        name="cholesky",
        kind=Kind.HOST,
        infer=square("cholesky"),
        evaluate=lambda a: np.linalg.cholesky(a),
        vjp=_cholesky_vjp,
        jvp=_cholesky_jvp,
        kinks=LOWER_ONLY,
        cases=(
            Case((hermitian(3, 3),)),
            Case((hermitian(2, 2, 2),), name="batched"),
            Case((np.array([[4.0]]),), name="1x1"),
        ),
        doc="lower triangular L with L L^H = A",
    )
)
