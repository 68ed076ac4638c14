"""Derivatives of factorisations of small matrices, with the loops' signature. Imports Numba.

What NumPy has no loop for, and would take a dozen calls of 1 to 10 microseconds."""

from __future__ import annotations

from jittape.execute.primitives import call_loop, doubles, kernel, load8, loadd, local, store8


@kernel
def factor_back(args, dims, steps, data):
    """Cotangent of A's lower triangle from that of its Cholesky factor: (factor, g, out), all
    contiguous float64. dims: (count, n). Row by row from the last (I. Murray, arXiv:1602.07527,
    section 3.2); neither operand is read above its diagonal."""
    factor, given, out = load8(args), load8(args + 8), load8(args + 16)
    n = load8(dims + 8)
    for _ in range(load8(dims)):
        low, g, c = doubles(factor), doubles(given), doubles(out)
        for i in range(n):
            for j in range(n):
                c[i * n + j] = g[i * n + j] if j <= i else 0.0
        for j in range(n - 1, -1, -1):
            d = 1.0 / low[j * n + j]
            s = 0.0
            for i in range(j + 1, n):
                s += low[i * n + j] * c[i * n + j]
            q = (c[j * n + j] - s * d) * d
            row = doubles(factor + 8 * n * j)
            at = doubles(out + 8 * n * j)
            for k in range(j):
                at[k] -= q * row[k]
            for i in range(j + 1, n):
                x = c[i * n + j] * d
                c[i * n + j] = x
                below, there = doubles(factor + 8 * n * i), doubles(out + 8 * n * i)
                for k in range(j):
                    at[k] -= x * below[k]
                    there[k] -= x * row[k]
            c[j * n + j] = 0.5 * q
        factor += load8(steps)
        given += load8(steps + 8)
        out += load8(steps + 16)


@kernel
def cofactors(args, dims, status, data):
    """Matrices of cofactors as det(A) inv(A)^T: (a, out, one number), out contiguous float64.
    Reports where A is not well conditioned: another formula is right there.

    data: (loop of inv, its data, loop of det, its data, count, n, step of a between matrices and
    over rows and columns)."""
    a, out, det = load8(args), load8(args + 8), load8(args + 16)
    count, n, step = load8(data + 32), load8(data + 40), load8(data + 48)
    a0, a1 = load8(data + 56), load8(data + 64)
    p, d, s = local(2), local(2), local(6)
    store8(d, 1)
    store8(d + 8, n)
    store8(s, 0)
    store8(s + 8, 0)
    store8(s + 16, a0)
    store8(s + 24, a1)
    store8(s + 32, 8)  # the inverse, transposed
    store8(s + 40, 8 * n)
    for _ in range(count):
        store8(p, a)
        store8(p + 8, out)
        call_loop(load8(data), p, d, s, load8(data + 8))
        store8(p, a)
        store8(p + 8, det)
        call_loop(load8(data + 16), p, d, s, load8(data + 24))
        value = loadd(det)
        x = doubles(out)
        size = 0.0
        for i in range(n):
            for j in range(n):
                size += abs(loadd(a + i * a0 + j * a1))
        inverse = 0.0
        for k in range(n * n):
            inverse += abs(x[k])
            x[k] *= value
        if not size * inverse < 1e4 * n * n:  # as for NaN
            store8(status, 1)
        a += step
        out += 8 * n * n
