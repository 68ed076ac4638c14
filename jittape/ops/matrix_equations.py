"""LU factors, Sylvester equations, banded systems and functions of matrices, through SciPy.

Loaded with jittape.scipy.linalg: SciPy is optional. Sources of the rules: F. de Hoog, R. Anderssen,
M. Lukas, Differentiation of matrix functionals using triangular factorization (2011), for lu;
M. Giles, An extended collection of matrix derivative results (2008), for linear systems;
N. Higham, Functions of Matrices (2008), theorem 3.6, for functions of matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg as sl

from jittape.ops.declare import Case, Kind, Op
from jittape.ops.elementwise import cast
from jittape.ops.linalg import solve_triangular
from jittape.ops.matrices import check_matrix, general, lower, masked, on_stacks, square
from jittape.ops.product import matmul, swap_last
from jittape.ops.reduce import unbroadcast
from jittape.ops.shape import concatenate, place, strided_slice
from jittape.types import Aval, aval


def _stacked(function: Any, *arrays: Any) -> np.ndarray:
    """A function of single matrices on stacks of them, whose leading axes broadcast."""
    arrays = tuple(map(np.asarray, arrays))
    lead = np.broadcast_shapes(*[a.shape[:-2] for a in arrays])
    if not lead:
        return function(*arrays)
    arrays = tuple([np.broadcast_to(a, (*lead, *a.shape[-2:])) for a in arrays])
    found = [function(*[a[i] for a in arrays]) for i in np.ndindex(*lead)]
    return np.stack(found).reshape(*lead, *found[0].shape)


# -- LU ------------------------------------------------------------------------------------------


def pivots(a: Any) -> np.ndarray:
    """LAPACK's row interchanges of matrices (..., m, n)."""
    return _stacked(lambda m: sl.lu_factor(m, check_finite=False)[1].astype(np.int64), a)


lu_pivots = on_stacks(
    Op(
        name="lu_pivots",
        kind=Kind.HOST,
        infer=lambda a: aval((*a.shape[:-2], min(a.shape[-2:])), np.int64),
        evaluate=pivots,
        flat=True,
        cases=(Case((general(3, 3),)), Case((general(2, 3, 2),), name="batched")),
        doc="the row that each row is interchanged with in LU decomposition",
    )
)


def _order(piv: Any, m: int) -> np.ndarray:
    piv = np.asarray(piv)
    order = np.broadcast_to(np.arange(m), (*piv.shape[:-1], m)).copy()
    for i in np.ndindex(*piv.shape[:-1]):
        for k, j in enumerate(piv[i]):
            order[i][[k, j]] = order[i][[j, k]]
    return order


def _order_batch(args: list, which: tuple, size: int, m: int) -> Any:
    return row_order(*args, m=m)


row_order = on_stacks(
    Op(
        name="row_order",
        kind=Kind.HOST,
        infer=lambda piv, m: aval((*piv.shape[:-1], m), np.int64),
        evaluate=_order,
        params=("m",),
        flat=True,
        cases=(Case((np.array([2, 2, 2]),), {"m": 4}),),
        doc="the order of m rows after these interchanges",
    )
)
row_order.batch = _order_batch


def _lu(a: Any) -> np.ndarray:
    return _stacked(lambda m: sl.lu_factor(m, check_finite=False)[0], a)


def _upper(x: Any) -> Any:
    return masked(x, ~np.tri(x.shape[-2], x.shape[-1], -1, dtype=bool))


def _lu_jvp(tangents: tuple, out: Any, a: Any) -> Any:
    # d(L U) = dA: with F = L^-1 dA U^-1, dL = L (F below the diagonal), dU = (the rest of F) U
    left = solve_triangular(out, tangents[0], lower=True, unit=True)
    f = swap_last(solve_triangular(swap_last(out), swap_last(left), lower=True, unit=False))
    strict = lower(f, -1)
    below = matmul(lower(out, -1), strict) + strict
    return below + matmul(_upper(f), _upper(out))


lu = on_stacks(
    Op(
        name="lu",
        kind=Kind.HOST,
        infer=square("lu"),
        evaluate=_lu,
        jvp=_lu_jvp,
        kinks="a singular matrix: the derivative raises LinAlgError",
        cases=(Case((general(3, 3),)), Case((general(2, 2, 2),), name="batched")),
        doc="L (below the diagonal, ones on it) and U of square matrices that need no pivots",
    )
)


def _qr_order(a: Any) -> np.ndarray:
    return _stacked(lambda m: sl.qr(m, mode="r", pivoting=True)[1].astype(np.int64), a)


qr_order = on_stacks(
    Op(
        name="qr_order",
        kind=Kind.HOST,
        infer=lambda a: aval((*a.shape[:-2], a.shape[-1]), np.int64),
        evaluate=_qr_order,
        flat=True,
        cases=(Case((general(3, 2),)),),
        doc="the order of columns that QR decomposition with pivoting takes",
    )
)


# -- Sylvester equations -------------------------------------------------------------------------


def _sylvester_infer(a: Aval, b: Aval, q: Aval) -> Aval:
    check_matrix("solve_sylvester", a, square=True)
    check_matrix("solve_sylvester", b, square=True)
    if q.shape[-2:] != (a.shape[-1], b.shape[-1]):
        raise ValueError(f"solve_sylvester: {a}, {b} and {q} do not match")
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2], q.shape[:-2])
    return aval((*lead, *q.shape[-2:]), np.result_type(a.dtype, b.dtype, q.dtype))


def _sylvester(a: Any, b: Any, q: Any) -> np.ndarray:
    out = _stacked(sl.solve_sylvester, a, b, q)
    return out.astype(np.result_type(a, b, q), copy=False)


def _sylvester_vjp(g: Any, out: Any, a: Any, b: Any, q: Any) -> tuple:
    gq = solve_sylvester(swap_last(a), swap_last(b), g)
    ga = unbroadcast(-matmul(gq, swap_last(out)), a.shape)
    gb = unbroadcast(-matmul(swap_last(out), gq), b.shape)
    return ga, gb, unbroadcast(gq, q.shape)


def _sylvester_jvp(tangents: tuple, out: Any, a: Any, b: Any, q: Any) -> Any:
    ta, tb, tq = tangents
    terms = [] if tq is None else [tq]
    terms += [] if ta is None else [-matmul(ta, out)]
    terms += [] if tb is None else [-matmul(out, tb)]
    right = terms[0]
    for t in terms[1:]:
        right = right + t
    return solve_sylvester(a, b, right)


solve_sylvester = on_stacks(
    Op(
        name="solve_sylvester",
        kind=Kind.HOST,
        infer=_sylvester_infer,
        evaluate=_sylvester,
        vjp=_sylvester_vjp,
        jvp=_sylvester_jvp,
        cases=(
            Case((general(3, 3), general(2, 2), (3, 2))),
            Case((general(2, 2, 2), general(2, 2), (2, 2, 2)), name="batched"),
        ),
        doc="X with A X + X B = Q",
    )
)

# -- banded systems ------------------------------------------------------------------------------


def _transposed(ab: np.ndarray, below: int, above: int) -> np.ndarray:
    """The diagonals of the transpose, in LAPACK's layout: ab[above + i - j, j] = A[i, j]."""
    out = np.zeros_like(ab)
    n = ab.shape[1]
    for k in range(below + above + 1):
        d = above - k  # j - i
        if abs(d) < n:
            row = out[below + above - k]
            row[max(-d, 0) : n - max(d, 0)] = ab[k, max(d, 0) : n - max(-d, 0)]
    return out


def _banded(ab: Any, b: Any, below: int, above: int, transposed: bool) -> np.ndarray:
    def one(m: Any, right: Any) -> np.ndarray:
        if transposed:
            return sl.solve_banded((above, below), _transposed(m, below, above), right)
        return sl.solve_banded((below, above), m, right)

    return _stacked(one, ab, b)


def _banded_infer(ab: Aval, b: Aval, below: int, above: int, transposed: bool) -> Aval:
    if ab.shape[-2] != below + above + 1 or b.ndim < 2 or b.shape[-2] != ab.shape[-1]:
        raise ValueError(f"solve_banded: shapes {ab.shape} and {b.shape} do not match")
    lead = np.broadcast_shapes(ab.shape[:-2], b.shape[:-2])
    return aval((*lead, *b.shape[-2:]), np.result_type(ab.dtype, b.dtype))


def _diagonal_products(left: Any, right: Any, below: int, above: int) -> Any:
    """At (above + i - j, j): the sum over columns of left[i] right[j]."""
    n = left.shape[-2]
    rows = []
    for k in range(below + above + 1):
        d = above - k
        count = max(n - abs(d), 0)
        parts = [(left, max(-d, 0)), (right, max(d, 0))]
        i, j = [
            strided_slice(
                x,
                index=(
                    *((0, 1, m) for m in x.shape[:-2]),
                    (s if count else 0, 1, count),
                    (0, 1, x.shape[-1]),
                ),
            )
            for x, s in parts
        ]
        line = np.sum(i * j, axis=-1)
        index = (*((0, 1, m) for m in line.shape[:-1]), (max(d, 0) if count else 0, 1, count))
        rows.append(np.expand_dims(place(line, shape=(*line.shape[:-1], n), index=index), -2))
    return concatenate(*rows, axis=left.ndim - 2) if len(rows) > 1 else rows[0]


def _banded_vjp(
    g: Any, out: Any, ab: Any, b: Any, below: int, above: int, transposed: bool
) -> tuple:
    gb = solve_banded(ab, g, below=below, above=above, transposed=not transposed)
    pair = (out, gb) if transposed else (gb, out)
    gab = unbroadcast(-_diagonal_products(*pair, below, above), ab.shape)
    return gab, unbroadcast(gb, b.shape)


solve_banded = on_stacks(
    Op(
        name="solve_banded",
        kind=Kind.HOST,
        infer=_banded_infer,
        evaluate=_banded,
        params=("below", "above", "transposed"),
        vjp=_banded_vjp,
        cases=tuple(
            Case(
                (np.array([[9.0, 0.3, 0.2, 0.1], [2.0, 3.0, 2.5, 4.0], [0.1, 0.7, 0.4, 9.0]]), b),
                {"below": 1, "above": 1, "transposed": t},
            )
            for b, t in (((4, 2), False), ((4, 1), True))
        ),
        doc="X with A X = B, A given by its diagonals in LAPACK's layout",
    )
)


# -- functions of matrices -----------------------------------------------------------------------


def _function(a: Any, name: str, doubled: int) -> np.ndarray:
    run = _log_of_doubled(doubled) if doubled and name == "logm" else getattr(sl, name)
    out = _stacked(run, np.asarray(a))
    return out.astype(np.result_type(out, np.complex64), copy=False)


def _log_of_doubled(doubled: int) -> Callable[[np.ndarray], np.ndarray]:
    """The logarithm of [[A, T], [0, A]], or of as many doublings.

    Each eigenvalue of A is there twice, and rounding makes conjugates of the two. Below zero their
    logarithms would differ by 2 pi i, so that the cut is turned off the axis:
    log M = log(exp(-i t) M) + i t.
    """

    def run(m: np.ndarray) -> np.ndarray:
        n = len(m) >> doubled
        a = m[:n, :n]
        if np.imag(a).any() or not np.isfinite(a).all():
            return sl.logm(m)
        w = np.linalg.eigvals(np.real(a))
        below = (w.real < 0) & (w.imag == 0)
        if not below.any():
            return sl.logm(m)
        turn = 0.5 * (np.pi + np.angle(w[~below]).min(initial=0.0))
        return sl.logm(m * np.exp(-1j * turn)) + 1j * turn * np.eye(len(m))

    return run


def _function_infer(a: Aval, name: str, doubled: int) -> Aval:
    check_matrix(name, a, square=True)
    return aval(a.shape, np.result_type(a.dtype, np.complex64))


def _upper_right(a: Any, t: Any, name: str, doubled: int) -> Any:
    """The derivative of f at A along T: the upper right block of f([[A, T], [0, A]])."""
    if a.dtype != t.dtype:
        a = cast(a, dtype=t.dtype) if t.dtype.kind == "c" else a
        t = cast(t, dtype=a.dtype) if a.dtype.kind == "c" else t
    n, k = a.shape[-1], a.ndim
    zero = np.zeros(t.shape, t.dtype)
    top, bottom = concatenate(a, t, axis=k - 1), concatenate(zero, a, axis=k - 1)
    m = concatenate(top, bottom, axis=k - 2)
    whole = matrix_function(m, name=name, doubled=doubled + 1)
    return strided_slice(whole, index=(*((0, 1, m) for m in a.shape[:-2]), (0, 1, n), (n, 1, n)))


def _function_vjp(g: Any, out: Any, a: Any, name: str, doubled: int) -> tuple:
    if name == "sqrtm":
        root = swap_last(out)
        return (solve_sylvester(root, root, g),)
    return (_upper_right(swap_last(a), g, name, doubled),)


def _function_jvp(tangents: tuple, out: Any, a: Any, name: str, doubled: int) -> Any:
    if name == "sqrtm":  # R R = A gives dR R + R dR = dA
        return solve_sylvester(out, out, tangents[0])
    return _upper_right(a, tangents[0], name, doubled)


matrix_function = on_stacks(
    Op(
        name="matrix_function",
        kind=Kind.HOST,
        infer=_function_infer,
        evaluate=_function,
        params=("name", "doubled"),
        vjp=_function_vjp,
        jvp=_function_jvp,
        kinks="a matrix at which the function is not analytic (logm, sqrtm: singular) has none",
        cases=(
            Case((general(2, 2),), {"name": "logm", "doubled": 0}),
            Case((general(2, 2),), {"name": "sqrtm", "doubled": 0}),
        ),
        doc="logm or sqrtm of square matrices, complex",
    )
)
