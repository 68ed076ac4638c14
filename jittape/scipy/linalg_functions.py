"""scipy.linalg's functions of matrices, matrix equations and structured systems, on tracers."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.functions.linalg import inexact, matrices
from jittape.functions.linalg import real_if_possible as _real_if_possible
from jittape.ops import linalg as ops
from jittape.ops import matrix_equations as eqs
from jittape.ops.matrices import adjoint, real_part
from jittape.ops.product import matmul
from jittape.ops.shape import reshape
from jittape.scipy.linalg_factors import refuse
from jittape.scipy.names import functions_of
from jittape.tracing.tracer import Tracer

# -- functions of matrices -----------------------------------------------------------------------


def _of_matrix(name: str, a: Any) -> Any:
    """Real where the matrix and the result are, which is guarded."""
    a = matrices(name, a, square=True)
    return _real_if_possible(eqs.matrix_function(a, name=name, doubled=0), a)


def sqrtm(A: Any, disp: Any = True, blocksize: Any = None) -> Any:
    """Principal square root of square matrices. As scipy.linalg.sqrtm."""
    return _of_matrix("sqrtm", A)


def logm(A: Any, disp: Any = True) -> Any:
    """Principal logarithm of square matrices, in double precision. As scipy.linalg.logm."""
    refuse("logm", disp=disp is not True and disp is not None)
    a = matrices("logm", A, square=True)
    return _of_matrix("logm", a.astype(np.result_type(a.dtype, np.float64)))


def signm(A: Any, disp: Any = True) -> Any:
    """Matrix sign function: A (A^2)^-1/2 (N. Higham, Functions of Matrices, 5.2). As
    scipy.linalg.signm."""
    refuse("signm", disp=disp is not True and disp is not None)
    a = matrices("signm", A, square=True)
    return np.linalg.solve(_of_matrix("sqrtm", matmul(a, a)), a)


def fractional_matrix_power(A: Any, t: Any) -> Any:
    """A^t = exp(t log A). As scipy.linalg.fractional_matrix_power."""
    a = matrices("fractional_matrix_power", A, square=True)
    if not isinstance(t, Tracer) and t == int(t):
        return np.linalg.matrix_power(a, int(t))
    return ops.expm(t * logm(a))


def expm_frechet(
    A: Any, E: Any, method: Any = None, compute_expm: bool = True, check_finite: bool = True
) -> Any:
    """(expm(A), the derivative of expm at A along E). As scipy.linalg.expm_frechet."""
    a, e = inexact(A, E)
    a = a.astype(np.result_type(a.dtype, np.float64))  # (as SciPy does)
    found = ops._frechet(matrices("expm_frechet", a, square=True), e)
    return (ops.expm(a), found) if compute_expm else found


def _times_i(a: Any) -> Any:
    return a * np.result_type(a.dtype, np.complex64).type(1j)


def cosm(A: Any) -> Any:
    """Matrix cosine. As scipy.linalg.cosm."""
    a = matrices("cosm", A, square=True)
    if a.dtype.kind == "c":
        return 0.5 * (ops.expm(_times_i(a)) + ops.expm(-_times_i(a)))
    return real_part(ops.expm(_times_i(a)))


def sinm(A: Any) -> Any:
    """Matrix sine. As scipy.linalg.sinm."""
    a = matrices("sinm", A, square=True)
    if a.dtype.kind == "c":
        return -0.5j * (ops.expm(_times_i(a)) - ops.expm(-_times_i(a)))
    return np.imag(ops.expm(_times_i(a)))


def tanm(A: Any) -> Any:
    """Matrix tangent. As scipy.linalg.tanm."""
    return np.linalg.solve(cosm(A), sinm(A))


def coshm(A: Any) -> Any:
    """Hyperbolic matrix cosine. As scipy.linalg.coshm."""
    a = matrices("coshm", A, square=True)
    return 0.5 * (ops.expm(a) + ops.expm(-a))


def sinhm(A: Any) -> Any:
    """Hyperbolic matrix sine. As scipy.linalg.sinhm."""
    a = matrices("sinhm", A, square=True)
    return 0.5 * (ops.expm(a) - ops.expm(-a))


def tanhm(A: Any) -> Any:
    """Hyperbolic matrix tangent. As scipy.linalg.tanhm."""
    return np.linalg.solve(coshm(A), sinhm(A))


# -- matrix equations ----------------------------------------------------------------------------


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """x with a x + x b = q. As scipy.linalg.solve_sylvester."""
    a, b, q = inexact(a, b, q)
    return eqs.solve_sylvester(a, b, q)


def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """x with a x + x a^H = q. As scipy.linalg.solve_continuous_lyapunov."""
    a, q = inexact(a, q)
    return eqs.solve_sylvester(a, adjoint(a), q)


def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Any:
    """x with a x a^H - x + q = 0, as one system of n^2 unknowns below n = 10, and by the bilinear
    transform above; in double precision. As scipy.linalg.solve_discrete_lyapunov."""
    a, q = inexact(a, q)
    a = a.astype(np.result_type(a.dtype, np.float64))
    n = a.shape[-1]
    if method == "direct" or (method is None and n < 10):
        left = np.eye(n * n, dtype=a.dtype) - np.kron(a, np.conjugate(a))
        return np.linalg.solve(left, q.reshape(-1)).reshape(n, n)
    eye = np.eye(n, dtype=a.dtype)
    inverse = np.linalg.inv(adjoint(a) + eye)
    b = matmul(adjoint(a) - eye, inverse)
    c = 2 * matmul(matmul(np.linalg.inv(a + eye), q), inverse)
    return eqs.solve_sylvester(adjoint(b), b, -c)


# -- structured matrices and systems -------------------------------------------------------------


def _vector(x: Any) -> Any:
    (x,) = inexact(x)
    return reshape(x, shape=(x.size,))


def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix with c as its first column and r (by default the conjugate of c) as its first row.
    As scipy.linalg.toeplitz."""
    c = _vector(c)
    r = np.conjugate(c) if r is None else _vector(r)
    values = np.concatenate([c[::-1], r[1:]])
    return values[np.arange(c.size)[::-1, None] + np.arange(r.size)]


def hankel(c: Any, r: Any = None) -> Any:
    """The matrix with c as its first column and r (by default zeros) as its last row. As
    scipy.linalg.hankel."""
    c = _vector(c)
    r = np.zeros(c.shape, c.dtype) if r is None else _vector(r)
    values = np.concatenate([c, r[1:]])
    return values[np.arange(c.size)[:, None] + np.arange(r.size)]


def circulant(c: Any) -> Any:
    """The circulant matrices with first columns c (..., n). As scipy.linalg.circulant."""
    (c,) = inexact(c)
    n = c.shape[-1]
    return c[..., (np.arange(n)[:, None] - np.arange(n)) % n]


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrix of np.convolve with a. As scipy.linalg.convolution_matrix."""
    a = _vector(a)
    m = a.size
    # A[i, j] = a[i - j]
    place = np.arange(m + n - 1)[:, None] - np.arange(n)
    inside = (place >= 0) & (place < m)
    full = np.where(inside, a[np.where(inside, place, 0)], a.dtype.type(0))
    trim = 0 if mode == "full" else min(n, m) - 1
    first = trim // 2 if mode == "same" else trim
    last = full.shape[0] - (trim - first if mode == "same" else trim)
    if mode not in ("full", "valid", "same"):
        raise ValueError("'mode' argument must be one of ('full', 'valid', 'same')")
    return full[first:last]


def matmul_toeplitz(c_or_cr: Any, x: Any, check_finite: bool = False, workers: Any = None) -> Any:
    """T x, T as `toeplitz` makes it, by an FFT. As scipy.linalg.matmul_toeplitz."""
    c, r = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr, None)
    c, x = _vector(c), inexact(x)[0]
    r = np.conjugate(c) if r is None else _vector(r)
    if x.shape[0] != r.size:
        raise ValueError("Incompatible dimensions.")
    # the first column of a circulant matrix with T in its corner
    column = np.concatenate([c, r[:0:-1]])
    n = column.size
    lines = np.moveaxis(x, 0, -1)
    y: Any
    if column.dtype.kind == "c" or x.dtype.kind == "c":
        y = np.fft.ifft(np.fft.fft(column) * np.fft.fft(lines, n))
    else:
        y = np.fft.irfft(np.fft.rfft(column) * np.fft.rfft(lines, n), n)
    return np.moveaxis(y[..., : c.size], -1, 0)


def solve_toeplitz(c_or_cr: Any, b: Any, check_finite: bool = True) -> Any:
    """x with T x = b, T as `toeplitz` makes it; as a general system, not by Levinson's recursion.
    As scipy.linalg.solve_toeplitz."""
    c, r = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr, None)
    return np.linalg.solve(toeplitz(c, r), b)


def solve_banded(
    l_and_u: tuple[int, int], ab: Any, b: Any, overwrite_ab: bool = False,
    overwrite_b: bool = False, check_finite: bool = True,
) -> Any:  # fmt: skip
    """x with A x = b, ab[u + i - j, j] = A[i, j]. As scipy.linalg.solve_banded.

    ab: (l + u + 1, n); b: (n,) or (n, k).
    """
    below, above = map(int, l_and_u)
    ab, b = inexact(ab, b)
    right = reshape(b, shape=(*b.shape, 1)) if b.ndim == 1 else b
    x = eqs.solve_banded(ab, right, below=below, above=above, transposed=False)
    return reshape(x, shape=b.shape) if b.ndim == 1 else x


def solveh_banded(
    ab: Any, b: Any, overwrite_ab: bool = False, overwrite_b: bool = False, lower: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """x with A x = b, A Hermitian and given by one half of its diagonals. As
    scipy.linalg.solveh_banded, by the solver for general bands."""
    ab, b = inexact(ab, b)
    u, n = ab.shape[-2] - 1, ab.shape[-1]
    rows = [ab[k] for k in range(u + 1)]
    if lower:
        # ab[i - j, j] = A[i, j]
        below = rows
        above = [_shifted(np.conjugate(rows[d]), d, n) for d in range(u, 0, -1)]
    else:
        # ab[u + i - j, j] = A[i, j]
        above = rows[:-1]
        below = [
            rows[u],
            *[_shifted(np.conjugate(rows[u - d]), -d, n) for d in range(1, u + 1)],
        ]
    return solve_banded((u, u), np.stack([*above, *below]), b)


def _shifted(x: Any, d: int, n: int) -> Any:
    """x moved by d places to the right (left where d < 0), zeros coming in."""
    d = max(min(d, n), -n)
    return np.pad(x[: n - d], (d, 0)) if d >= 0 else np.pad(x[-d:], (0, -d))


__all__ = functions_of("linalg_functions")
