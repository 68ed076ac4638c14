"""Calls of kernels over strided places, whole or cut for several threads. Imports Numba."""

from __future__ import annotations

from numba import njit

from jittape.execute.primitives import call_loop, load8, local, store8


@njit(nogil=True)
def run_call(T, base, at, status):
    """A kernel over outer loops. `status` replaces the steps of kernels that may fail."""
    at = T + 8 * at
    fn = load8(at)
    data = load8(at + 8)
    n = load8(at + 16)
    dims = T + 8 * load8(at + 24)
    steps = status if status else T + 8 * load8(at + 32)
    ndim = load8(at + 40)
    outer = T + 8 * load8(at + 48)
    p = local(8)
    for k in range(n):
        store8(p + 8 * k, load8(base + 8 * load8(at + 56 + 16 * k)) + load8(at + 64 + 16 * k))
    if ndim == 0:
        call_loop(fn, p, dims, steps, data)
        return
    width = 8 * (n + 1)
    index = local(32)
    q = local(8)
    for d in range(ndim):
        store8(index + 8 * d, 0)
    while True:
        for k in range(n):  # kernels may change their argument table
            store8(q + 8 * k, load8(p + 8 * k))
        call_loop(fn, q, dims, steps, data)
        d = ndim - 1
        while d >= 0:
            line = outer + width * d
            i = load8(index + 8 * d) + 1
            if i < load8(line):
                store8(index + 8 * d, i)
                for k in range(n):
                    store8(p + 8 * k, load8(p + 8 * k) + load8(line + 8 + 8 * k))
                break
            for k in range(n):
                store8(p + 8 * k, load8(p + 8 * k) - (i - 1) * load8(line + 8 + 8 * k))
            store8(index + 8 * d, 0)
            d -= 1
        if d < 0:
            return


@njit(nogil=True)
def run_part(T, base, P, chunk):
    """A chunk of a matrix product, of the stack, rows or columns of the result. P: word of
    (chunks, cost, call, which dimension is cut, how much of it is a chunk's); the last chunk has
    the rest, too."""
    P = T + 8 * P
    at = T + 8 * load8(P + 16)
    which = load8(P + 24)
    per = load8(P + 32)
    whole = T + 8 * load8(at + 24)
    steps = T + 8 * load8(at + 32)
    dims = local(4)
    for k in range(4):
        store8(dims + 8 * k, load8(whole + 8 * k))
    start = chunk * per
    rest = load8(whole + 8 * which) - start
    store8(dims + 8 * which, rest if chunk == load8(P) - 1 else per)
    p = local(3)
    for k in range(3):
        a = load8(base + 8 * load8(at + 56 + 16 * k)) + load8(at + 64 + 16 * k)
        if which == 0:
            a += start * load8(steps + 8 * k)
        elif which == 1 and k != 1:  # rows: of a and the result
            a += start * load8(steps + (24 if k == 0 else 56))
        elif which == 3 and k != 0:  # columns: of b and the result
            a += start * load8(steps + (48 if k == 1 else 64))
        store8(p + 8 * k, a)
    call_loop(load8(at), p, dims, steps, load8(at + 8))
