"""Products of scipy.sparse matrices with traced vectors and matrices, as gathers and scatters.

A SciPy matrix takes its operand for an array, which a tracer is not. While a trace is open the
methods behind `@`, `*`, `dot` and `multiply` record

    (A @ x)[i] = sum over the stored elements (i, j) of A_ij x_j,

one gather, one product and one scatter-add, so that the transpose, the pattern of a sparse
Jacobian and vmap are those of these ops. The elements themselves are read anew at each sweep.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.functions.shape import to_shape
from jittape.ops.index import scatter_add, take
from jittape.tracing.recorder import here
from jittape.tracing.tracer import cast

_I8 = np.dtype(np.int64)


def elements(a: Any) -> tuple[Any, np.ndarray, np.ndarray]:
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
    values, rows, columns = elements(a)
    if x.ndim == 2:
        values = to_shape(values, (values.size, 1))
    terms = np.multiply(values, take(cast(x, np.result_type(a.dtype, x.dtype)), columns))
    return scatter_add(rows, terms, n=m)


def _is_scalar(x: Any) -> bool:
    return as_array(x).ndim == 0  # (it may be a list)


def left(self: Any, other: Any) -> Any:
    if _is_scalar(other):
        raise TraceError(
            f"{here()}: a sparse matrix times a traced number would be a sparse matrix of traced "
            "values, which is not recorded; write s * (A @ x) in place of (s * A) @ x"
        )
    return product(self, other)


def right(self: Any, other: Any) -> Any:
    if _is_scalar(other):
        return left(self, other)
    return np.transpose(product(self.T, np.transpose(other)))


def multiply(self: Any, other: Any) -> Any:
    raise TraceError(
        f"{here()}: the elementwise product of a sparse matrix and traced values would be a sparse "
        "matrix of traced values, which is not recorded; use A.toarray() * x, or scale the "
        "vectors: A @ (d * x) and d * (A @ x) for a diagonal d"
    )


def dot(self: Any, other: Any) -> Any:
    return left(self, other)
