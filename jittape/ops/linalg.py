"""Linear algebra: numpy.linalg as ops on stacks of matrices.

Every op has one output; what has several results in NumPy (eigh, svd, qr, slogdet) is one packed
op, which `jittape.functions.linalg` takes apart by slices. Where the rule that is easier to
write is the forward one, it alone is declared: the reverse rule is its transpose.

Cotangents are transposed without conjugation: the cotangent g of x stands for Re(sum(g * dx)).

Sources of the rules: M. Giles, An extended collection of matrix derivative results (2008);
S. Walter and L. Lehmann (2010) for qr; G. Golub and V. Pereyra (1973) for pinv;
I. Murray, arXiv:1602.07527, for cholesky.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op
from jittape.ops.matrices import (
    check_matrix,
    general,
    lower,
    masked,
    on_stacks,
    packed,
    scalar_of,
    square,
    vector_part,
)
from jittape.ops.product import matmul, swap_last
from jittape.ops.reduce import sum, unbroadcast
from jittape.ops.shape import concatenate, reshape, strided_slice
from jittape.types import Aval, aval

# -- solve, inv, det -----------------------------------------------------------------------------


def _solve_infer(a: Aval, b: Aval) -> Aval:
    check_matrix("solve", a, square=True)
    if b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"solve: shapes {a.shape} and {b.shape} do not match")
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return aval((*batch, *b.shape[-2:]), np.result_type(a.dtype, b.dtype))


def _solve_vjp(g: Any, out: Any, a: Any, b: Any) -> tuple:
    gb = solve(swap_last(a), g)
    return unbroadcast(-matmul(gb, swap_last(out)), a.shape), unbroadcast(gb, b.shape)


def _solve_jvp(tangents: tuple, out: Any, a: Any, b: Any) -> Any:
    ta, tb = tangents
    if ta is None:
        return solve(a, tb)
    moved = matmul(ta, out)
    return solve(a, -moved if tb is None else tb - moved)


solve = on_stacks(
    Op(
        name="solve",
        kind=Kind.HOST,
        infer=_solve_infer,
        evaluate=lambda a, b: np.linalg.solve(a, b),
        vjp=_solve_vjp,
        jvp=_solve_jvp,
        cases=(
            Case((general(3, 3), (3, 2))),
            Case((general(2, 1, 3, 3), (2, 3, 1)), name="batched"),
        ),
        doc="X with A X = B for stacks of square matrices A and matrices B",
    )
)


def _inv_jvp(tangents: tuple, out: Any, a: Any) -> Any:
    return -matmul(matmul(out, tangents[0]), out)


def _inv_vjp(g: Any, out: Any, a: Any) -> tuple:
    t = swap_last(out)
    return (-matmul(matmul(t, g), t),)


inv = on_stacks(
    Op(
        name="inv",
        kind=Kind.HOST,
        infer=square("inv"),
        evaluate=lambda a: np.linalg.inv(a),
        vjp=_inv_vjp,
        jvp=_inv_jvp,
        cases=(Case((general(3, 3),)), Case((general(2, 2, 2),), name="batched")),
        doc="inverse of square matrices",
    )
)


def _det_vjp(g: Any, out: Any, a: Any) -> tuple:
    return (scalar_of(g) * cofactor(a),)


def _det_jvp(tangents: tuple, out: Any, a: Any) -> Any:
    return sum(cofactor(a) * tangents[0], axes=(a.ndim - 2, a.ndim - 1))


def _det_infer(a: Aval) -> Aval:
    check_matrix("det", a, square=True)
    return aval(a.shape[:-2], a.dtype)


det = on_stacks(
    Op(
        name="det",
        kind=Kind.HOST,
        infer=_det_infer,
        evaluate=lambda a: np.linalg.det(a),
        vjp=_det_vjp,
        jvp=_det_jvp,
        cases=(Case((general(3, 3),)), Case((general(2, 2, 2),), name="batched")),
        doc="determinant; its derivative is defined for singular matrices too",
    )
)


def _cofactor(a: Any) -> np.ndarray:
    """det(U V) U diag(prod of the other singular values) V^H, conjugated: right at any rank."""
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1).astype(s.dtype)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return np.conj(np.conj(sign)[..., None, None] * (u * others[..., None, :])) @ np.conj(vh)


def _cofactor_vjp(g: Any, out: Any, a: Any) -> tuple:
    # C = det(A) X^T with X = inv(A), so dC = tr(X dA) C - X^T dA^T C
    x = inv(a)
    t = swap_last(x)
    inner = scalar_of(sum(g * out, axes=(a.ndim - 2, a.ndim - 1)))
    return (inner * t - matmul(matmul(out, swap_last(g)), t),)


cofactor = on_stacks(
    Op(
        name="cofactor",
        kind=Kind.HOST,
        infer=square("det"),
        evaluate=_cofactor,
        vjp=_cofactor_vjp,
        kinks="second derivatives of det at a singular matrix raise LinAlgError",
        cases=(Case((general(3, 3),)), Case((general(2, 2, 2),), name="batched")),
        doc="matrices of cofactors: the derivative of det",
    )
)


def _slogdet(a: Any) -> np.ndarray:
    sign, value = np.linalg.slogdet(a)
    return np.stack([sign, value.astype(sign.dtype)], axis=-1)


def _slogdet_vjp(g: Any, out: Any, a: Any) -> tuple:
    # d log det = tr(inv(A) dA) =: z; d logabsdet = Re z, d sign = sign 1j Im z
    n = g.ndim - 1
    g_sign, g_value = (reshape(vector_part(g, k, 1), shape=g.shape[:n]) for k in (0, 1))
    if a.dtype.kind == "c":
        sign = reshape(vector_part(out, 0, 1), shape=g.shape[:n])
        weight = np.real(g_value) + a.dtype.type(1j) * np.imag(g_sign * sign)
    else:
        weight = g_value
    return (scalar_of(weight) * swap_last(inv(a)),)


slogdet = on_stacks(
    Op(
        name="slogdet",
        kind=Kind.HOST,
        infer=packed("slogdet", lambda m, n: 2, square=True),
        evaluate=_slogdet,
        vjp=_slogdet_vjp,
        kinks="the derivative at a singular matrix raises LinAlgError",
        cases=(Case((general(3, 3),)), Case((general(2, 2, 2),), name="batched")),
        doc="(sign, log |det|) packed along the last axis",
    )
)


# -- triangular systems --------------------------------------------------------------------------


def _solve_triangular(a: Any, b: Any, lower: bool, unit: bool) -> np.ndarray:
    a, b = np.asarray(a), np.asarray(b)
    if not unit and np.any(np.diagonal(a, axis1=-2, axis2=-1) == 0):
        raise np.linalg.LinAlgError("Singular matrix")
    char = np.result_type(a, b).char
    if a.ndim > 2 or b.ndim > 2 or not b.size or not scipy_is_here():
        a = np.tril(a) if lower else np.triu(a)
        if unit:
            a = np.where(np.eye(a.shape[-1], dtype=bool), a.dtype.type(1), a)
        return np.linalg.solve(a, b)
    from scipy.linalg import blas, lapack

    prefix = {"f": "s", "d": "d", "F": "c", "D": "z"}[char]
    # Fortran reads columns: a row-major triangle is, transposed, the other triangle
    flipped = not a.flags.f_contiguous
    m, is_lower = (a.T, not lower) if flipped else (a, lower)
    if b.shape[1] <= 4:
        trtrs = getattr(lapack, prefix + "trtrs")
        return trtrs(m, b, lower=is_lower, trans=int(flipped), unitdiag=unit)[0]
    trsm = getattr(blas, prefix + "trsm")
    if b.flags.f_contiguous:
        return trsm(1.0, m, b, lower=is_lower, trans_a=int(flipped), diag=unit)
    # X^T A^T = B^T
    return trsm(1.0, m, b.T, side=1, lower=is_lower, trans_a=int(not flipped), diag=unit).T


@functools.cache
def scipy_is_here() -> bool:
    """NumPy has only the general solve."""
    return find_spec("scipy") is not None


def _triangle(x: Any, is_lower: bool, unit: bool) -> Any:
    if is_lower:
        return lower(x, -1 if unit else 0)
    return masked(x, ~np.tri(x.shape[-2], x.shape[-1], 0 if unit else -1, dtype=bool))


def _triangular_vjp(g: Any, out: Any, a: Any, b: Any, lower: bool, unit: bool) -> tuple:
    gb = solve_triangular(swap_last(a), g, lower=not lower, unit=unit)
    ga = unbroadcast(-matmul(gb, swap_last(out)), a.shape)
    return _triangle(ga, lower, unit), unbroadcast(gb, b.shape)


def _triangular_jvp(tangents: tuple, out: Any, a: Any, b: Any, lower: bool, unit: bool) -> Any:
    ta, tb = tangents
    if ta is None:
        return solve_triangular(a, tb, lower=lower, unit=unit)
    moved = matmul(_triangle(ta, lower, unit), out)
    return solve_triangular(a, -moved if tb is None else tb - moved, lower=lower, unit=unit)


solve_triangular = on_stacks(
    Op(
        name="solve_triangular",
        kind=Kind.HOST,
        infer=lambda a, b, lower, unit: _solve_infer(a, b),
        evaluate=_solve_triangular,
        params=("lower", "unit"),
        vjp=_triangular_vjp,
        jvp=_triangular_jvp,
        cases=(
            Case((general(3, 3), (3, 2)), {"lower": True, "unit": False}),
            Case((general(3, 3), (3, 2)), {"lower": False, "unit": True}),
            Case((general(2, 3, 3), (2, 3, 1)), {"lower": False, "unit": False}, "batched"),
        ),
        doc="X with T X = B, T one triangle of A (with ones on its diagonal where `unit`)",
    )
)


# -- functions of matrices -----------------------------------------------------------------------


def _expm(a: Any) -> np.ndarray:
    from scipy.linalg import expm as scipy_expm

    return scipy_expm(a)


def _frechet(a: Any, t: Any) -> Any:
    """The derivative of expm at A along T: the upper right block of expm([[A, T], [0, A]])."""
    n = a.shape[-1]
    k = a.ndim
    zero = np.zeros(t.shape, t.dtype)
    top = concatenate(a, t, axis=k - 1)
    bottom = concatenate(zero, a, axis=k - 1)
    whole = expm(concatenate(top, bottom, axis=k - 2))
    index = (*((0, 1, m) for m in a.shape[:-2]), (0, 1, n), (n, 1, n))
    return strided_slice(whole, index=index)


expm = on_stacks(
    Op(
        name="expm",
        kind=Kind.HOST,
        infer=square("expm"),
        evaluate=_expm,
        vjp=lambda g, out, a: (_frechet(swap_last(a), g),),
        jvp=lambda tangents, out, a: _frechet(a, tangents[0]),
        cases=(Case((general(2, 2),)), Case((general(2, 2, 2),), name="batched")),
        doc="matrix exponential (needs SciPy); derivative: N. Higham, Functions of Matrices, 3.16",
    )
)
