"""Kernels that compute, with the signature of NumPy's inner loops; see moves.py. Imports Numba."""

from __future__ import annotations

from jittape.execute.lines import fold_rows
from jittape.execute.moves import copy_line
from jittape.execute.primitives import (
    call_loop,
    doubles,
    floats,
    kernel,
    load1,
    load8,
    loadd,
    loadf,
    local,
    move,
    octets,
    store8,
    stored,
    storef,
)

LONGEST = 128  # NumPy sums in pairs of 128, too: as exact up to here


@kernel
def folding(args, dims, steps, data):
    """Reductions of a block. data: (which, loop, data of the loop, size, identity...).

    which 2, 3, 4: sums, maxima, minima of float64 rows of up to LONGEST columns, where the call of
    a loop per row would cost more than what it does (10 columns: 1.4 ns per element)."""
    which = load8(data)
    loop = load8(data + 8)
    extra = load8(data + 16)
    size = load8(data + 24)
    a = load8(args)
    b = load8(args + 8)
    rows = load8(dims + 8)
    columns = load8(dims + 16)
    p = local(3)
    n = local(1)
    s = local(3)
    if which >= 2 and columns <= LONGEST:
        fold_rows(which - 2, a, b, rows, columns)
    elif which == 0 and columns <= 8:  # short rows: column after column onto all rows
        copy_line(b, size, data + 32, 0, rows, size)
        store8(n, rows)
        store8(s, size)
        store8(s + 8, columns * size)
        store8(s + 16, size)
        store8(p, b)
        store8(p + 16, b)
        for j in range(columns):
            store8(p + 8, a + j * size)
            call_loop(loop, p, n, s, extra)
    elif which != 1:  # each row to one element: (x, out)
        store8(n, columns)
        store8(s, 0)
        store8(s + 8, size)
        store8(s + 16, 0)
        for _ in range(rows):
            move(b, data + 32, size)
            store8(p, b)
            store8(p + 8, a)
            store8(p + 16, b)
            call_loop(loop, p, n, s, extra)
            a += columns * size
            b += size
    else:  # all rows onto one row of accumulators: (x, scratch of half a block, acc)
        acc = load8(args + 16)
        store8(s, size)
        store8(s + 8, size)
        store8(s + 16, size)
        x = a
        while rows > 1:
            if rows & 1:
                rows -= 1
                store8(p, acc)
                store8(p + 8, x + rows * columns * size)
                store8(p + 16, acc)
                store8(n, columns)
                call_loop(loop, p, n, s, extra)
            rows >>= 1
            store8(p, x)
            store8(p + 8, x + rows * columns * size)
            store8(p + 16, b)
            store8(n, rows * columns)
            call_loop(loop, p, n, s, extra)
            x = b
        if rows:
            store8(p, acc)
            store8(p + 8, x)
            store8(p + 16, acc)
            store8(n, columns)
            call_loop(loop, p, n, s, extra)


@kernel
def amul(args, dims, steps, data):
    """g * p, and 0 where either is 0. data: (width, complex)."""
    width = load8(data)
    is_complex = load8(data + 8)
    a, b, c = load8(args), load8(args + 8), load8(args + 16)
    s0, s1, s2 = load8(steps), load8(steps + 8), load8(steps + 16)
    n = load8(dims)
    if is_complex == 0 and width == 8:
        if s0 == 8 and s1 == 8 and s2 == 8:
            gs, vs, out = doubles(a), doubles(b), doubles(c)
            for i in range(n):
                g = gs[i]
                v = vs[i]
                out[i] = (g if v != 0.0 else 0.0) * (v if g != 0.0 else 0.0)
        elif s0 == 0 and s1 == 8 and s2 == 8:
            g = loadd(a)
            vs, out = doubles(b), doubles(c)
            if g != 0.0:
                for i in range(n):
                    v = vs[i]
                    out[i] = (g if v != 0.0 else 0.0) * v
            else:
                for i in range(n):
                    out[i] = 0.0
        elif s0 == 8 and s1 == 0 and s2 == 8:
            v = loadd(b)
            gs, out = doubles(a), doubles(c)
            for i in range(n):
                g = gs[i]
                out[i] = (g if v != 0.0 else 0.0) * (v if g != 0.0 else 0.0)
        else:
            for i in range(n):
                g = loadd(a + s0 * i)
                v = loadd(b + s1 * i)
                stored(c + s2 * i, (g if v != 0.0 else 0.0) * (v if g != 0.0 else 0.0))
    elif is_complex == 0:
        zero = loadf(data + 16)
        if s0 == 4 and s1 == 4 and s2 == 4:
            gf, vf, outf = floats(a), floats(b), floats(c)
            for i in range(n):
                h = gf[i]
                w = vf[i]
                outf[i] = (h if w != zero else zero) * (w if h != zero else zero)
        else:
            for i in range(n):
                g = loadf(a + s0 * i)
                v = loadf(b + s1 * i)
                storef(c + s2 * i, (g if v != zero else zero) * (v if g != zero else zero))
    elif width == 8:
        for i in range(n):
            gr, gi = loadd(a + s0 * i), loadd(a + s0 * i + 8)
            vr, vi = loadd(b + s1 * i), loadd(b + s1 * i + 8)
            none = (gr == 0.0 and gi == 0.0) or (vr == 0.0 and vi == 0.0)
            stored(c + s2 * i, 0.0 if none else gr * vr - gi * vi)
            stored(c + s2 * i + 8, 0.0 if none else gr * vi + gi * vr)
    else:
        zero = loadf(data + 16)
        for i in range(n):
            gr, gi = loadf(a + s0 * i), loadf(a + s0 * i + 4)
            vr, vi = loadf(b + s1 * i), loadf(b + s1 * i + 4)
            none = (gr == zero and gi == zero) or (vr == zero and vi == zero)
            storef(c + s2 * i, zero if none else gr * vr - gi * vi)
            storef(c + s2 * i + 4, zero if none else gr * vi + gi * vr)


@kernel
def cast(args, dims, steps, data):
    """Conversions between dtypes. data: (from, to); codes: see CASTS in passes/kernels.py."""
    src, dst = load8(data), load8(data + 8)
    a, c = load8(args), load8(args + 8)
    s0, s1 = load8(steps), load8(steps + 8)
    n = load8(dims)
    if src == 0 and dst == 3:  # bool -> float64
        if s0 == 1 and s1 == 8:
            bools, out = octets(a), doubles(c)
            for i in range(n):
                out[i] = bools[i]
        else:
            for i in range(n):
                stored(c + s1 * i, float(load1(a + s0 * i)))
    elif src == 1 and dst == 3:  # int64 -> float64
        for i in range(n):
            stored(c + s1 * i, float(load8(a + s0 * i)))
    elif src == 2 and dst == 3:  # float32 -> float64
        for i in range(n):
            stored(c + s1 * i, loadf(a + s0 * i))
    elif src == 3 and dst == 2:  # float64 -> float32
        for i in range(n):
            storef(c + s1 * i, loadd(a + s0 * i))
    elif src == 0 and dst == 2:  # bool -> float32
        for i in range(n):
            storef(c + s1 * i, load1(a + s0 * i))
    elif src == 1 and dst == 2:  # int64 -> float32
        for i in range(n):
            storef(c + s1 * i, load8(a + s0 * i))
    elif src == 0 and dst == 1:  # bool -> int64
        for i in range(n):
            store8(c + s1 * i, load1(a + s0 * i))
    elif src == 3 and dst == 4:  # float64 -> complex128
        for i in range(n):
            stored(c + s1 * i, loadd(a + s0 * i))
            stored(c + s1 * i + 8, 0.0)
    elif src == 4 and dst == 3:  # complex128 -> float64, the real part
        for i in range(n):
            stored(c + s1 * i, loadd(a + s0 * i))


@kernel
def linear(args, dims, status, data):
    """A loop of numpy.linalg over matrices; it fills results with NaN where LAPACK fails, which is
    reported. data: (loop, data of the loop, arguments, index of the one to check or -1, width of
    its real numbers, number of dims, dims, steps); dims[0] matrices."""
    n, check = load8(data + 16), load8(data + 24)
    lines = data + 48
    steps = lines + 8 * load8(data + 40)
    p = local(8)  # the loop moves its arguments
    for k in range(n):
        store8(p + 8 * k, load8(args + 8 * k))
    call_loop(load8(data), p, lines, steps, load8(data + 8))
    if check >= 0:
        x = load8(args + 8 * check)
        for _ in range(load8(lines)):
            v = loadd(x) if load8(data + 32) == 8 else float(loadf(x))
            if v != v:
                store8(status, 1)
            x += load8(steps + 8 * check)
