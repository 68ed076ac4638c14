"""Decompositions as packed ops: eigh, eig, svd, qr, pinv, matrix_rank.

See `ops.linalg` for the conventions and sources.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op
from jittape.ops.elementwise import cast, where
from jittape.ops.linalg import solve, solve_triangular
from jittape.ops.matrices import (
    LOWER_ONLY,
    adjoint,
    check_matrix,
    column,
    conj,
    diagonal_of,
    diagonal_only,
    flat,
    from_lower,
    general,
    hermitian,
    hermitian_from_lower,
    lower,
    matrix_part,
    on_stacks,
    pack,
    packed,
    real_part,
    row,
    safe_reciprocal,
    vector_part,
)
from jittape.ops.product import matmul, swap_last
from jittape.ops.reduce import sum
from jittape.types import Aval, aval

# -- eigenvalues ---------------------------------------------------------------------------------


def _eigh(a: Any, upper: bool) -> np.ndarray:
    # LAPACK's own signs of the vectors depend on which triangle it is given
    w, v = np.linalg.eigh(np.conj(np.swapaxes(a, -1, -2)), "U") if upper else np.linalg.eigh(a)
    return np.concatenate([w.astype(v.dtype), v.reshape(*w.shape[:-1], -1)], axis=-1)


def unpack_eig(out: Any, n: int) -> tuple[Any, Any]:
    """Eigenvalues (..., n) and vectors (..., n, n) of a packed result."""
    return vector_part(out, 0, n), matrix_part(out, n, n, n)


def _gaps(w: Any) -> Any:
    """1 / (w_j - w_i) at (i, j), and 0 where equal."""
    return safe_reciprocal(row(w) - column(w))


def _eigh_vjp(g: Any, out: Any, a: Any, upper: bool) -> tuple:
    w, v = unpack_eig(out, a.shape[-1])
    gw, gv = unpack_eig(g, a.shape[-1])
    eye = np.eye(a.shape[-1], dtype=bool)
    inner = _gaps(w) * matmul(swap_last(v), gv)
    inner = where(
        eye, column(gw if a.dtype.kind != "c" else cast(real_part(gw), dtype=a.dtype)), inner
    )
    return (from_lower(matmul(matmul(conj(v), inner), swap_last(v))),)


def _eigh_jvp(tangents: tuple, out: Any, a: Any, upper: bool) -> Any:
    w, v = unpack_eig(out, a.shape[-1])
    p = matmul(matmul(adjoint(v), hermitian_from_lower(tangents[0])), v)
    tw = real_part(diagonal_of(p))
    return pack(tw, flat(matmul(v, _gaps(w) * p)))


_DEGENERATE = (
    "equal eigenvalues: their vectors are held fixed against each other, so that functions of "
    "the whole eigenspace have their derivative, and no others"
)
eigh = on_stacks(
    Op(
        name="eigh",
        kind=Kind.HOST,
        infer=packed("eigh", lambda m, n, upper: n + n * n, square=True),
        evaluate=_eigh,
        params=("upper",),
        vjp=_eigh_vjp,
        jvp=_eigh_jvp,
        kinks=LOWER_ONLY + "; " + _DEGENERATE,
        cases=(
            Case((hermitian(3, 3),), {"upper": False}),
            Case((hermitian(3, 3),), {"upper": True}, name="upper"),
            Case((hermitian(2, 2, 2),), {"upper": False}, name="batched"),
        ),
        doc="eigenvalues (ascending) and vectors of Hermitian matrices, packed",
    )
)


def _eig(a: Any) -> np.ndarray:
    w, v = np.linalg.eig(a)
    out = np.concatenate([w, v.reshape(*w.shape[:-1], -1)], axis=-1)
    return out.astype(np.result_type(a, np.complex64))


def _eig_infer(a: Aval) -> Aval:
    check_matrix("eig", a, square=True)
    n = a.shape[-1]
    return aval((*a.shape[:-2], n + n * n), np.result_type(a.dtype, np.complex64))


def _eig_jvp(tangents: tuple, out: Any, a: Any) -> Any:
    w, v = unpack_eig(out, a.shape[-1])
    t = tangents[0]
    p = solve(v, matmul(t if t.dtype == out.dtype else cast(t, dtype=out.dtype), v))
    moved = matmul(v, _gaps(w) * p)
    # LAPACK's vectors have norm 1: no movement along themselves
    along = real_part(sum(conj(v) * moved, axes=(v.ndim - 2,)))
    return pack(diagonal_of(p), flat(moved - v * row(along)))


eig = on_stacks(
    Op(
        name="eig",
        kind=Kind.HOST,
        infer=_eig_infer,
        evaluate=_eig,
        jvp=_eig_jvp,
        kinks=_DEGENERATE + "; complex vectors: derivatives of what their phases do not matter to",
        cases=(Case((general(3, 3),)), Case((general(2, 2, 2),), name="batched")),
        doc="eigenvalues and vectors (norm 1) of general matrices, complex and packed",
    )
)


# -- svd, qr, pinv -------------------------------------------------------------------------------


def _svd(a: Any) -> np.ndarray:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    lead = s.shape[:-1]
    return np.concatenate([u.reshape(*lead, -1), s.astype(u.dtype), vh.reshape(*lead, -1)], axis=-1)


def unpack_svd(out: Any, m: int, n: int) -> tuple[Any, Any, Any]:
    """u (..., m, k), s (..., k) and vh (..., k, n) of a packed result, all of one dtype."""
    k = min(m, n)
    return (
        matrix_part(out, 0, m, k),
        vector_part(out, m * k, k),
        matrix_part(out, m * k + k, k, n),
    )


def _svd_jvp(tangents: tuple, out: Any, a: Any) -> Any:
    m, n = a.shape[-2:]
    t = tangents[0]
    u, s, vh = unpack_svd(out, m, n)
    uh, v = adjoint(u), adjoint(vh)
    tv = matmul(t, v)
    p = matmul(uh, tv)
    q = adjoint(p)
    ts = real_part(diagonal_of(p))
    # u^H du and v^H dv are antihermitian: F o (P S + S P^H) and F o (S P + P^H S)
    f = safe_reciprocal((row(s) - column(s)) * (row(s) + column(s)))
    si = safe_reciprocal(s)
    tu = matmul(u, f * (p * row(s) + column(s) * q))
    tvs = matmul(v, f * (column(s) * p + q * row(s)))
    if a.dtype.kind == "c":
        # the phases of u and v move together; that of v is held
        tu = tu + u * row((diagonal_of(p) - diagonal_of(q)) * (si * 0.5))
    if m > n:
        tu = tu + (tv - matmul(u, p)) * row(si)
    if n > m:
        thu = matmul(adjoint(t), u)
        tvs = tvs + (thu - matmul(v, q)) * row(si)
    return pack(flat(tu), ts, flat(adjoint(tvs)))


svd = on_stacks(
    Op(
        name="svd",
        kind=Kind.HOST,
        infer=packed("svd", lambda m, n: min(m, n) * (m + n + 1)),
        evaluate=_svd,
        jvp=_svd_jvp,
        kinks="equal or zero singular values: as equal eigenvalues in eigh",
        cases=(
            Case((general(3, 2),)),
            Case((general(2, 3),)),
            Case((general(2, 2, 2),), name="batched"),
        ),
        doc="thin singular value decomposition, packed",
    )
)


def _qr(a: Any) -> np.ndarray:
    q, r = np.linalg.qr(a)
    lead = q.shape[:-2]
    return np.concatenate([q.reshape(*lead, -1), r.reshape(*lead, -1)], axis=-1)


def _qr_infer(a: Aval) -> Aval:
    check_matrix("qr", a)
    m, n = a.shape[-2:]
    if m < n:
        raise ValueError("the op qr takes matrices with at least as many rows as columns")
    return aval((*a.shape[:-2], m * n + n * n), a.dtype)


def _qr_jvp(tangents: tuple, out: Any, a: Any) -> Any:
    m, n = a.shape[-2:]
    q, r = matrix_part(out, 0, m, n), matrix_part(out, m * n, n, n)
    # T R^-1 = (R^-T T^T)^T
    t = swap_last(solve_triangular(swap_last(r), swap_last(tangents[0]), lower=True, unit=False))
    p = matmul(adjoint(q), t)
    strict = lower(p, -1)
    rotation = strict - adjoint(strict)  # q^H dq, antihermitian
    if a.dtype.kind == "c":
        rotation = rotation + diagonal_only((p - conj(p)) * 0.5)
    tq = matmul(q, rotation - p) + t
    return pack(flat(tq), flat(matmul(p - rotation, r)))


qr = on_stacks(
    Op(
        name="qr",
        kind=Kind.HOST,
        infer=_qr_infer,
        evaluate=_qr,
        jvp=_qr_jvp,
        kinks="rank loss: the derivative raises LinAlgError",
        cases=(
            Case((general(3, 2),)),
            Case((general(2, 2),)),
            Case((general(2, 3, 2),), name="batched"),
        ),
        doc="reduced QR decomposition of matrices that are not wide, packed",
    )
)


def _pinv_jvp(tangents: tuple, out: Any, a: Any, rcond: float | None) -> Any:
    t = tangents[0]
    h, hp = adjoint(t), adjoint(out)
    first = -matmul(matmul(out, t), out)
    second = matmul(matmul(out, hp), h - matmul(matmul(h, a), out))
    third = matmul(h - matmul(matmul(out, a), h), matmul(hp, out))
    return first + second + third


def _pinv_infer(a: Aval, rcond: float | None) -> Aval:
    check_matrix("pinv", a)
    return aval((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)


pinv = on_stacks(
    Op(
        name="pinv",
        kind=Kind.HOST,
        infer=_pinv_infer,
        evaluate=lambda a, rcond: np.linalg.pinv(a, rcond),
        params=("rcond",),
        jvp=_pinv_jvp,
        kinks="where the rank changes, that of constant rank",
        cases=(
            Case((general(3, 2),), {"rcond": None}),
            Case((general(2, 3),), {"rcond": None}),
        ),
        doc="Moore-Penrose pseudo-inverse",
    )
)


matrix_rank = on_stacks(
    Op(
        name="matrix_rank",
        kind=Kind.HOST,
        infer=lambda a, tol, rtol: aval(a.shape[:-2], np.int64),
        evaluate=lambda a, tol, rtol: np.linalg.matrix_rank(a, tol, rtol=rtol),
        params=("tol", "rtol"),
        flat=True,
        cases=(Case((general(3, 2),), {"tol": None, "rtol": None}),),
        doc="number of singular values that are not negligible",
    )
)


def _nullspace(a: Any, of: str) -> np.ndarray:
    m, n = np.shape(a)[-2:]
    if of == "qr":
        return np.linalg.qr(a, mode="complete")[0][..., n:]
    u, _, vh = np.linalg.svd(a, full_matrices=True)
    return u[..., n:] if m > n else vh[..., m:, :]


def _nullspace_infer(a: Aval, of: str) -> Aval:
    m, n = a.shape[-2:]
    tail = (m, m - n) if m > n else (n - m, n)
    return aval((*a.shape[:-2], *tail), a.dtype)


complement = on_stacks(
    Op(
        name="complement",
        kind=Kind.HOST,
        infer=_nullspace_infer,
        evaluate=_nullspace,
        params=("of",),
        cases=(Case((general(3, 2),), {"of": "svd"}), Case((general(2, 3),), {"of": "svd"})),
        doc=(
            "the columns of U (rows of V^H, columns of Q) that full_matrices=True and "
            "mode='complete' add: any basis will do, so that they have no derivative"
        ),
    )
)
