"""Products of scipy.sparse matrices with traced vectors and matrices, as gathers and scatters.

A SciPy matrix takes its operand for an array, which a tracer is not. While a trace is open the
methods behind `@`, `*`, `dot` and `multiply` record

    (A @ x)[i] = sum over the stored elements (i, j) of A_ij x_j,

one gather, one product and one scatter-add, so that the transpose, the pattern of a sparse
Jacobian and vmap are those of these ops. The elements themselves are read anew at each sweep.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sparse

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.linalg import inexact
from jittape.functions.shape import to_shape
from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.index import scatter_add, take
from jittape.scipy.patches import replace_methods, stand_in
from jittape.tracing.recorder import here
from jittape.tracing.tracer import cast
from jittape.types import Aval, aval

_BASE = sparse._base._spbase
_I8 = np.dtype(np.int64)


def _elements(a: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """(values, rows, columns) of the stored elements; values is the matrix's own array where the
    format has one element in each place of it."""
    if a.ndim != 2:
        raise TraceError(
            f"{here()}: products of traced values with sparse arrays of {a.ndim} axes are not "
            "recorded; reshape the array to a matrix"
        )
    coo = a.tocoo(copy=False)
    return coo.data, coo.row.astype(_I8), coo.col.astype(_I8)


def product(a: Any, x: Any) -> Any:
    """a @ x for a sparse matrix a (m, n) and x (n,) or (n, k).

    Raises ValueError where the shapes do not match.
    """
    x = as_array(x)
    m, n = a.shape
    if x.ndim not in (1, 2) or x.shape[0] != n:
        raise ValueError(
            f"{here()}: matmul: dimension mismatch with signature (n,k={n}),"
            f"(k={x.shape[0] if x.ndim else 1},m)->(n,m)"
        )
    values, rows, columns = _elements(a)
    if x.ndim == 2:
        values = to_shape(values, (values.size, 1))
    terms = np.multiply(values, take(cast(x, np.result_type(a.dtype, x.dtype)), columns))
    return scatter_add(rows, terms, n=m)


def _is_scalar(x: Any) -> bool:
    return as_array(x).ndim == 0  # (it may be a list)


def _left(self: Any, other: Any) -> Any:
    if _is_scalar(other):
        raise TraceError(
            f"{here()}: a sparse matrix times a traced number would be a sparse matrix of traced "
            "values, which is not recorded; write s * (A @ x) in place of (s * A) @ x"
        )
    return product(self, other)


def _right(self: Any, other: Any) -> Any:
    if _is_scalar(other):
        return _left(self, other)
    return np.transpose(product(self.T, np.transpose(other)))


def _multiply(self: Any, other: Any) -> Any:
    raise TraceError(
        f"{here()}: the elementwise product of a sparse matrix and traced values would be a sparse "
        "matrix of traced values, which is not recorded; use A.toarray() * x, or scale the "
        "vectors: A @ (d * x) and d * (A @ x) for a diagonal d"
    )


def _dot(self: Any, other: Any) -> Any:
    return _left(self, other)


def _owners(name: str) -> list[type]:
    """The classes of scipy.sparse that write this method themselves."""
    found = [_BASE, *_subclasses(_BASE)]
    return [c for c in dict.fromkeys(found) if name in vars(c)]


def _subclasses(c: Any) -> list[type]:
    return [d for s in c.__subclasses__() for d in (s, *_subclasses(s))]


_METHODS: dict[str, Callable] = {
    "_matmul_dispatch": _left,
    "_rmatmul_dispatch": _right,
    "multiply": _multiply,
    "dot": _dot,
}
replace_methods([(c, name, f) for name, f in _METHODS.items() for c in _owners(name)])


# -- solving -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _factors(values: bytes, rows: bytes, columns: bytes, n: int, char: str) -> Any:
    from scipy.sparse.linalg import splu

    place = (np.frombuffer(rows, np.int64), np.frombuffer(columns, np.int64))
    return splu(sparse.csc_matrix((np.frombuffer(values, char), place), shape=(n, n)))


def _solve(values: Any, rows: Any, columns: Any, b: Any, transposed: bool) -> np.ndarray:
    wide = np.result_type(values, b, np.float64)
    try:
        lu = _factors(
            np.ascontiguousarray(values, wide).tobytes(),
            np.ascontiguousarray(rows).tobytes(),
            np.ascontiguousarray(columns).tobytes(),
            b.shape[0],
            wide.char,
        )
    except RuntimeError as e:  # SuperLU's word for a pivot of 0
        raise np.linalg.LinAlgError(f"singular sparse matrix: {e}") from None
    x = lu.solve(np.asarray(b, wide), "T" if transposed else "N")
    return x.astype(np.result_type(values, b), copy=False)


def _solve_infer(values: Aval, rows: Aval, columns: Aval, b: Aval, transposed: bool) -> Aval:
    return aval(b.shape, np.result_type(values.dtype, b.dtype))


def _solve_vjp(
    g: Any, out: Any, values: Any, rows: Any, columns: Any, b: Any, transposed: bool
) -> tuple:
    # A x = b: the cotangent of b solves A^T gb = g, that of A_ij is -gb_i x_j (Giles 2008, 2.3.1)
    gb = sparse_solve(values, rows, columns, g, transposed=not transposed)
    i, j = (columns, rows) if transposed else (rows, columns)
    return -np.sum(take(gb, i) * take(out, j), axis=1), None, None, gb


def _solve_batch(args: list, which: tuple, size: int, transposed: bool) -> Any:
    values, rows, columns, b = args
    if any(which[:3]):
        raise TraceError(f"{here()}: sparse systems of batched matrices are not recorded")
    # right-hand sides of all lanes side by side
    n, k = b.shape[1:]
    wide = np.reshape(np.transpose(b, (1, 0, 2)), (n, size * k))
    x = sparse_solve(values, rows, columns, wide, transposed=transposed)
    return np.transpose(np.reshape(x, (n, size, k)), (1, 0, 2))


_PATTERN = np.array([0, 1, 2, 0]), np.array([0, 1, 2, 2])
sparse_solve = declare(
    Op(
        name="sparse_solve",
        kind=Kind.HOST,
        infer=_solve_infer,
        evaluate=_solve,
        params=("transposed",),
        vjp=_solve_vjp,
        batch=_solve_batch,
        cases=(
            Case((np.array([2.0, 3.0, 4.0, 0.5]), *_PATTERN, (3, 2)), {"transposed": False}),
            Case((np.array([2.0, 3.0, 4.0, 0.5]), *_PATTERN, (3, 1)), {"transposed": True}),
        ),
        doc="X with A X = B (A^T X = B), A given by the values, rows and columns of its elements",
    )
)


def spsolve(A: Any, b: Any, permc_spec: Any = None, use_umfpack: bool = True) -> Any:
    """x with A x = b for a sparse matrix A (n, n) and traced b (n,) or (n, k). As
    scipy.sparse.linalg.spsolve; A is factorised once for x and its derivatives.

    Raises LinAlgError where A is singular.
    """
    if not sparse.issparse(A):
        raise TraceError(f"{here()}: spsolve is recorded for sparse A; use np.linalg.solve(A, b)")
    (b,) = inexact(b)
    values, rows, columns = _elements(A)
    if values.dtype.kind not in "fc":
        values = values.astype(np.float64)
    right = to_shape(b, (b.size, 1)) if b.ndim == 1 else b
    x = sparse_solve(values, rows, columns, right, transposed=False)
    return to_shape(x, (b.shape[0],)) if right.shape[1] == 1 else x


stand_in("scipy.sparse.linalg", {"spsolve": spsolve})
