"""numpy.linalg on tracers: solving, determinants, decompositions. Norms: see functions.norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.ops import decompositions as d
from jittape.ops import linalg as ops
from jittape.ops.cholesky import cholesky as ops_cholesky
from jittape.ops.declare import Case
from jittape.ops.guards import guard_true
from jittape.ops.matrices import (
    adjoint,
    check_matrix,
    general,
    hermitian,
    matrix_part,
    real_part,
    vector_part,
)
from jittape.ops.product import matmul
from jittape.ops.shape import concatenate, reshape
from jittape.tracing.dispatch import implements
from jittape.tracing.guards import concrete, pin
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, as_operand, cast
from jittape.types import aval_of

_UNSET: Any = np._NoValue  # type: ignore[attr-defined]

# NumPy's result tuples; their classes have no public name
_EIGH = type(np.linalg.eigh(np.eye(1)))
_EIG = type(np.linalg.eig(np.eye(1)))
_SVD = type(np.linalg.svd(np.eye(1)))
_QR = type(np.linalg.qr(np.eye(1)))
_SLOGDET = type(np.linalg.slogdet(np.eye(1)))


def inexact(*xs: Any) -> list[Any]:
    """Operands in the dtype that numpy.linalg computes in: integers become float64."""
    xs = tuple(as_operand(x) for x in xs)
    dtypes = [x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype for x in xs]
    dtype = np.result_type(*[t if t.kind in "fc" else np.float64 for t in dtypes])
    return [cast(x, dtype) for x in xs]


def matrices(name: str, x: Any, square: bool = False) -> Any:
    """x as a stack of matrices; raises what NumPy raises."""
    (x,) = inexact(x)
    check_matrix(name, x._aval if isinstance(x, Tracer) else aval_of(x), square)
    return x


# -- systems, inverse, determinant ---------------------------------------------------------------


@implements(
    np.linalg.solve,
    cases=(
        Case((general(3, 3), (3,))),
        Case((general(3, 3), (3, 2)), name="matrix"),
        Case((general(2, 3, 3), (3, 1)), name="batched"),
    ),
)
def solve(a: Any, b: Any) -> Any:
    a, b = inexact(a, b)
    if b.ndim == 1:
        x = ops.solve(a, reshape(b, shape=(*b.shape, 1)))
        return reshape(x, shape=x.shape[:-1])
    return ops.solve(a, b)


@implements(np.linalg.inv, cases=(Case((general(3, 3),)),))
def inv(a: Any) -> Any:
    return ops.inv(matrices("inv", a, square=True))


@implements(
    np.linalg.det,
    cases=(Case((general(3, 3),)), Case((np.ones((2, 2)),), name="singular", order=1)),
)
def det(a: Any) -> Any:
    return ops.det(matrices("det", a, square=True))


@implements(np.linalg.slogdet, cases=(Case((general(3, 3),)), Case((general(2, 2, 2),))))
def slogdet(a: Any) -> Any:
    a = matrices("slogdet", a, square=True)
    out = ops.slogdet(a)
    return _SLOGDET(_entry(out, 0), real_part(_entry(out, 1)))


def _entry(x: Any, k: int) -> Any:
    """x[..., k]"""
    return reshape(vector_part(x, k, 1), shape=x.shape[:-1])


@implements(np.linalg.cholesky, cases=(Case((hermitian(3, 3),)), Case((hermitian(2, 2, 2),))))
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    a = matrices("cholesky", a, square=True)
    if not upper:
        return ops_cholesky(a)
    # NumPy reads the upper triangle then
    return adjoint(ops_cholesky(adjoint(a)))


@implements(
    np.linalg.matrix_power,
    cases=(
        Case((general(3, 3), 3)),
        Case((general(2, 2), 0)),
        Case((general(2, 2), 7)),
        Case((general(2, 2, 2), -2)),
    ),
)
def matrix_power(a: Any, n: Any) -> Any:
    (a,) = (as_operand(a),)
    if a.dtype.kind not in "iub":
        a = matrices("matrix_power", a, square=True)
    n = int(n.__index__())
    if n == 0:
        return np.array(np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))
    if n < 0:
        a = inv(a)
        n = -n
    if n == 3:
        return matmul(matmul(a, a), a)
    square = result = None
    while n > 0:
        square = a if square is None else matmul(square, square)
        n, bit = divmod(n, 2)
        if bit:
            result = square if result is None else matmul(result, square)
    return result


@implements(np.linalg.tensorsolve, cases=(Case((general(6, 6).reshape(2, 3, 6), (2, 3))),))
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = inexact(a, b)
    n = a.ndim
    if axes is not None:
        order = list(range(n))
        for k in axes:
            order.remove(k)
            order.insert(n, k)
        a = a.transpose(tuple(order))
    rest = a.shape[-(a.ndim - b.ndim) :]
    return reshape(solve(a.reshape((-1, int(np.prod(rest)))), b.reshape(-1)), shape=rest)


@implements(np.linalg.tensorinv, cases=(Case((general(6, 6).reshape(2, 3, 6), 2)),))
def tensorinv(a: Any, ind: int = 2) -> Any:
    (a,) = inexact(a)
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    shape = a.shape
    n = int(np.prod(shape[ind:]))
    return reshape(inv(a.reshape((n, -1))), shape=(*shape[ind:], *shape[:ind]))


# -- decompositions ------------------------------------------------------------------------------


# NumPy before 2.5 gives real eigenvalues of a general real matrix as real numbers
_REAL_EIG = np.linalg.eigvals(np.eye(1)).dtype.kind == "f"


def _triangle_first(a: Any, uplo: str) -> Any:
    """The matrix whose lower triangle is what NumPy reads."""
    if uplo.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    a = matrices("eigh", a, square=True)
    return a if uplo.upper() == "L" else adjoint(a)


@implements(
    np.linalg.eigh,
    cases=(
        Case((hermitian(3, 3),)),
        Case((hermitian(3, 3), "U"), name="upper"),
        Case((hermitian(2, 2, 2),), name="batched"),
    ),
    kinks=d.eigh.kinks,
)
def eigh(a: Any, UPLO: str = "L") -> Any:
    a = _triangle_first(a, UPLO)
    w, v = d.unpack_eig(d.eigh(a, upper=UPLO.upper() == "U"), a.shape[-1])
    return _EIGH(real_part(w), v)


@implements(np.linalg.eigvalsh, cases=(Case((hermitian(3, 3),)),), kinks=d.eigh.kinks)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return eigh(a, UPLO)[0]


@implements(
    np.linalg.eig, cases=(Case((general(3, 3),)), Case((general(2, 2, 2),))), kinks=d.eig.kinks
)
def eig(a: Any) -> Any:
    a = matrices("eig", a, square=True)
    out = d.eig(a)
    if a.dtype.kind == "f" and _REAL_EIG and _all_real(vector_part(out, 0, a.shape[-1])):
        out = real_part(out)
    return _EIG(*d.unpack_eig(out, a.shape[-1]))


def real_if_possible(w: Any, a: Any) -> Any:
    """Eigenvalues of a, as real numbers where a is real and all of them are."""
    if a.dtype.kind == "f" and w.dtype.kind == "c" and _all_real(w):
        return real_part(w)
    return w


def _all_real(w: Any) -> bool:
    """Whether these eigenvalues are real numbers: part of what the tape depends on."""
    if not isinstance(w, Tracer):
        return bool(np.all(np.imag(w) == 0))
    if not w._trace.concrete:
        raise TraceError(
            f"{here()}: whether the eigenvalues of a general real matrix are real depends on "
            f"values - make the matrix complex first ({w._trace.remedy})"
        )
    real = (np.imag(w) == 0).all()
    outcome = bool(concrete(real))
    guard_true(real, expected=outcome)
    return outcome


@implements(np.linalg.eigvals, cases=(Case((general(3, 3),)),), kinks=d.eig.kinks)
def eigvals(a: Any) -> Any:
    return eig(a)[0]


@implements(
    np.linalg.svd,
    cases=(
        Case((general(3, 2),), {"full_matrices": False}),
        Case((general(2, 3),), {"full_matrices": False}),
        Case((general(3, 2),), {"compute_uv": False}),
        Case((general(3, 3),), name="square"),
        Case((hermitian(3, 3),), {"hermitian": True}),
    ),
    kinks=d.svd.kinks + "; the vectors that full_matrices=True adds have no derivative",
)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    a = matrices("svd", a)
    if hermitian:
        return _svd_hermitian(a, compute_uv)
    m, n = a.shape[-2:]
    u, s, vh = d.unpack_svd(d.svd(a), m, n)
    s = real_part(s)
    if not compute_uv:
        return s
    if full_matrices and m != n:
        rest = d.complement(a, of="svd")
        if m > n:
            u = concatenate(u, rest, axis=a.ndim - 1)
        else:
            vh = concatenate(vh, rest, axis=a.ndim - 2)
    return _SVD(u, s, vh)


def _svd_hermitian(a: Any, compute_uv: bool) -> Any:
    w, v = eigh(a)
    size = np.abs(w)
    order = np.argsort(size, axis=-1)[..., ::-1]
    s = np.take_along_axis(size, order, axis=-1)
    if not compute_uv:
        return s
    u = np.take_along_axis(v, order[..., None, :], axis=-1)
    sign = np.take_along_axis(np.sign(w), order, axis=-1)
    return _SVD(u, s, adjoint(u * sign[..., None, :]))


@implements(np.linalg.svdvals, cases=(Case((general(3, 2),)),))
def svdvals(x: Any, /) -> Any:
    return svd(x, compute_uv=False)


@implements(
    np.linalg.qr,
    cases=(
        Case((general(3, 2),)),
        Case((general(2, 3),), name="wide"),
        Case((general(2, 3, 2),), {"mode": "r"}),
        Case((general(3, 3),), {"mode": "complete"}),
    ),
    kinks=d.qr.kinks + "; the columns of Q that mode='complete' adds have no derivative",
)
def qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r"):
        raise TraceError(
            f"{here()}: np.linalg.qr with mode={mode!r} is not recorded; use 'reduced', "
            "'complete' or 'r'"
        )
    a = matrices("qr", a)
    m, n = a.shape[-2:]
    k = min(m, n)
    out = d.qr(vector_part(a, 0, k))
    q, r = matrix_part(out, 0, m, k), matrix_part(out, m * k, k, k)
    if n > m:
        # the first m columns decide about Q
        r = concatenate(r, matmul(adjoint(q), vector_part(a, k, n - k)), axis=a.ndim - 1)
    if mode == "r":
        return r
    if mode == "complete" and m > n:
        q = concatenate(q, d.complement(a, of="qr"), axis=a.ndim - 1)
        below = np.zeros((*a.shape[:-2], m - n, n), a.dtype)
        r = concatenate(r, below, axis=a.ndim - 2)
    return _QR(q, r)


@implements(
    np.linalg.pinv,
    cases=(Case((general(3, 2),)), Case((general(2, 3),)), Case((general(2, 2, 2),))),
    kinks=d.pinv.kinks,
)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _UNSET) -> Any:
    a = matrices("pinv", a)
    if rcond is not None and rtol is not _UNSET:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    limit = rcond if rtol is _UNSET else rtol
    if rtol is None:
        limit = max(a.shape[-2:]) * np.finfo(a.dtype).eps
    return d.pinv(a, rcond=None if limit is None else float(limit))


@implements(np.linalg.matrix_rank, cases=(Case((general(3, 2),)),), differentiable=False)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    a = as_operand(A)
    if a.ndim < 2:
        return (a != 0).any().astype(int)
    tol, rtol = (None if t is None else float(t) for t in (tol, rtol))
    return d.matrix_rank(matrices("matrix_rank", a), tol=tol, rtol=rtol)


@implements(
    np.linalg.lstsq,
    cases=(
        Case((general(4, 2), (4,)), {"rcond": None}),
        Case((general(4, 2), (4, 3)), {"rcond": None}),
        Case((general(2, 3), (2,)), {"rcond": None}, "underdetermined"),
    ),
    kinks=d.pinv.kinks,
)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    a, b = inexact(a, b)
    check_matrix("lstsq", a._aval if isinstance(a, Tracer) else aval_of(a))
    m, n = a.shape
    limit = np.finfo(a.dtype).eps * max(m, n) if rcond is None else float(rcond)
    limit = float(np.finfo(a.dtype).eps) if limit == -1 else limit
    right = reshape(b, shape=(*b.shape, 1)) if b.ndim == 1 else b
    if right.shape[0] != m:
        raise np.linalg.LinAlgError("Incompatible dimensions")
    x = matmul(d.pinv(a, rcond=limit), right)
    rank = d.matrix_rank(a, tol=None, rtol=limit)
    known = int(pin(rank)) if isinstance(rank, Tracer) else int(rank)
    s = svd(a, compute_uv=False)
    if known == n and m > n:
        rest = right - matmul(a, x)
        residuals = (
            np.real(rest * np.conjugate(rest)) if a.dtype.kind == "c" else np.square(rest)
        ).sum(0)
    else:
        residuals = np.zeros(0, s.dtype)
    if b.ndim == 1:
        x = reshape(x, shape=(n,))
    return x, residuals, np.int32(known), s
