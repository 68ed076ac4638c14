"""scipy.sparse.linalg.spsolve on tracers.

A module of its own: who imports scipy.sparse need not wait for scipy.sparse.linalg.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import scipy.sparse as sparse

from jittape.errors import TraceError
from jittape.functions.linalg import inexact
from jittape.functions.shape import to_shape
from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.index import take
from jittape.ops.reduce import broadcast_to
from jittape.scipy.sparse import elements
from jittape.tracing.recorder import here
from jittape.types import Aval, aval


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
    n, k = b.shape[-2:]
    if any(which[:3]):  # one system with the matrices of all lanes along its diagonal
        all_wide = [
            x if on else broadcast_to(x, shape=(size, *x.shape))
            for x, on in zip(args, which, strict=True)
        ]
        shift = np.arange(size, dtype=np.int64)[:, None] * n
        values, rows, columns = (
            np.reshape(x, (x.size,))
            for x in (all_wide[0], all_wide[1] + shift, all_wide[2] + shift)
        )
        right = np.reshape(all_wide[3], (size * n, k))
        x = sparse_solve(values, rows, columns, right, transposed=transposed)
        return np.reshape(x, (size, n, k))
    # right-hand sides of all lanes side by side
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
    values, rows, columns = elements(A)
    if values.dtype.kind not in "fc":
        values = values.astype(np.float64)
    right = to_shape(b, (b.size, 1)) if b.ndim == 1 else b
    x = sparse_solve(values, rows, columns, right, transposed=False)
    return to_shape(x, (b.shape[0],)) if right.shape[1] == 1 else x
