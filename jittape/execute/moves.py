"""Kernels that move elements, with the signature of NumPy's inner loops. Imports Numba.

`dims` points at (count, rows, columns, start, ...): the first is all that a NumPy loop reads; the
others are known in blocks of a group, and only the kernels that need them read them. `data`
points at parameters of the kernel in the Program's table. One compiled unit with a switch loads
faster than one unit per kernel, and the switch costs about a nanosecond.
"""

from __future__ import annotations

from numba import njit

from jittape.execute.lines import spread
from jittape.execute.primitives import (
    call_loop,
    kernel,
    load1,
    load2,
    load4,
    load8,
    loadd,
    local,
    move,
    octets,
    store1,
    store2,
    store4,
    store8,
    stored,
    words,
)


@njit(inline="never")
def copy_line(dst, ds, src, ss, count, size):
    """count elements of `size` bytes from a strided line to a strided line."""
    if ss == size and ds == size:
        move(dst, src, count * size)
    elif size == 8:
        if ds == 8 and ss == 0:
            v = load8(src)
            out = words(dst)
            for i in range(count):
                out[i] = v
        else:
            for i in range(count):
                store8(dst + ds * i, load8(src + ss * i))
    elif size == 4:
        for i in range(count):
            store4(dst + ds * i, load4(src + ss * i))
    elif size == 1:
        for i in range(count):
            store1(dst + ds * i, load1(src + ss * i))
    elif size == 16:
        for i in range(count):
            store8(dst + ds * i, load8(src + ss * i))
            store8(dst + ds * i + 8, load8(src + ss * i + 8))
    elif size == 2:
        for i in range(count):
            store2(dst + ds * i, load2(src + ss * i))
    else:
        for i in range(count):
            move(dst + ds * i, src + ss * i, size)


@njit(inline="never")
def load_block(dst, src, start, count, data):
    """Elements start..start+count (row-major) of a strided array to contiguous memory.

    data: (size, ndim, shape..., strides...), at most 16 dimensions.
    """
    size = load8(data)
    ndim = load8(data + 8)
    shape = data + 16
    strides = shape + 8 * ndim
    at = local(16)
    rest = start
    p = src
    for d in range(ndim - 1, -1, -1):
        n = load8(shape + 8 * d)
        q = rest // n
        k = rest - q * n
        rest = q
        store8(at + 8 * d, k)
        p += k * load8(strides + 8 * d)
    inner = load8(shape + 8 * (ndim - 1))
    step = load8(strides + 8 * (ndim - 1))
    last = at + 8 * (ndim - 1)
    while count > 0:
        k = load8(last)
        run = inner - k
        if run > count:
            run = count
        copy_line(dst, size, p, step, run, size)
        dst += run * size
        count -= run
        p += run * step
        k += run
        d = ndim - 1
        while k == load8(shape + 8 * d) and d > 0:
            p -= k * load8(strides + 8 * d)
            store8(at + 8 * d, 0)
            d -= 1
            p += load8(strides + 8 * d)
            k = load8(at + 8 * d) + 1
        store8(at + 8 * d, k)


@njit(inline="never")
def store_block(dst, src, data):
    """A whole contiguous array into strided memory. data: (size, ndim, shape..., strides...)."""
    size = load8(data)
    ndim = load8(data + 8)
    shape = data + 16
    strides = shape + 8 * ndim
    at = local(16)
    outer = 1
    for d in range(ndim):
        store8(at + 8 * d, 0)
        if d < ndim - 1:
            outer *= load8(shape + 8 * d)
    inner = load8(shape + 8 * (ndim - 1))
    step = load8(strides + 8 * (ndim - 1))
    for _ in range(outer):
        copy_line(dst, step, src, size, inner, size)
        src += inner * size
        d = ndim - 2
        while d >= 0:
            dst += load8(strides + 8 * d)
            k = load8(at + 8 * d) + 1
            if k < load8(shape + 8 * d):
                store8(at + 8 * d, k)
                break
            dst -= k * load8(strides + 8 * d)
            store8(at + 8 * d, 0)
            d -= 1


@kernel
def moving(args, dims, steps, data):
    """Kernels that move elements of any dtype. data: (which, ...)."""
    which = load8(data)
    data += 8
    a = load8(args)
    b = load8(args + 8)
    if which == 0:  # load a block of a strided array: (src, dst)
        load_block(b, a, load8(dims + 24), load8(dims), data)
    elif which == 1:  # spread rows over columns: (src, dst); data (size,)
        size = load8(data)
        rows = load8(dims + 8)
        columns = load8(dims + 16)
        step = load8(steps)
        if size == 8:
            spread(b, a, step, rows, columns)
        else:
            for i in range(rows):
                copy_line(b, size, a + i * step, 0, columns, size)
                b += size * columns
    elif which == 2:  # tile columns over rows: (src, dst); data (size,)
        size = load8(data)
        rows = load8(dims + 8)
        columns = load8(dims + 16)
        step = load8(steps)
        for _ in range(rows):
            copy_line(b, size, a, step, columns, size)
            b += size * columns
    elif which == 3:  # copy elementwise: (src, dst); data (size,)
        copy_line(b, load8(steps + 8), a, load8(steps), load8(dims), load8(data))
    elif which == 4:  # fill: (dst); data (size, low, high)
        size = load8(data)
        copy_line(a, size, data + 8, 0, load8(dims), size)
    elif which == 5:  # contiguous into strided: (src, dst)
        store_block(b, a, data)
    elif which == 6:  # where: (condition, x, y, dst); data (size,)
        size = load8(data)
        d = load8(args + 24)
        c = load8(args + 16)
        s0, s1 = load8(steps), load8(steps + 8)
        s2, s3 = load8(steps + 16), load8(steps + 24)
        n = load8(dims)
        plain = (s1 == 8 or s1 == 0) and (s2 == 8 or s2 == 0)
        if size == 8 and s0 == 1 and s3 == 8 and plain:
            cond, xs, ys, out = octets(a), words(b), words(c), words(d)
            if s1 == 8 and s2 == 8:
                for i in range(n):
                    x, y = xs[i], ys[i]
                    out[i] = x if cond[i] else y
            elif s1 == 8 and s2 == 0:
                y = ys[0]
                for i in range(n):
                    x = xs[i]
                    out[i] = x if cond[i] else y
            elif s1 == 0 and s2 == 8:
                x = xs[0]
                for i in range(n):
                    y = ys[i]
                    out[i] = x if cond[i] else y
            elif s1 == 0 and s2 == 0:
                x, y = xs[0], ys[0]
                for i in range(n):
                    out[i] = x if cond[i] else y
        elif size == 8:
            for i in range(n):
                x = load8(b + s1 * i)
                y = load8(c + s2 * i)
                store8(d + s3 * i, x if load1(a + s0 * i) else y)
        elif size == 4:
            for i in range(n):
                x = load4(b + s1 * i)
                y = load4(c + s2 * i)
                store4(d + s3 * i, x if load1(a + s0 * i) else y)
        else:
            for i in range(n):
                p = b + s1 * i if load1(a + s0 * i) else c + s2 * i
                move(d + s3 * i, p, size)


@kernel
def indexing(args, dims, steps, data):
    """take, scatter_add, put. data: (which, n, bytes of a row, elements of a row, count, loop,
    data of the loop, failed). Writes the first index out of range + 1 to data's last word."""
    which, n, width = load8(data), load8(data + 8), load8(data + 16)
    per, count = load8(data + 24), load8(data + 32)
    a, b, c = load8(args), load8(args + 8), load8(args + 16)
    if which == 0:  # take: (x, idx, out)
        for i in range(count):
            k = load8(b + 8 * i)
            if k < 0 or k >= n:
                store8(steps, 1)
                return
            if width == 8:
                store8(c + 8 * i, load8(a + 8 * k))
            else:
                copy_line(c + width * i, 8, a + width * k, 8, width >> 3, 8) if (
                    width & 7
                ) == 0 else move(c + width * i, a + width * k, width)
    elif which == 1:  # scatter add: (idx, v, out), out is zero
        loop, extra = load8(data + 40), load8(data + 48)
        p = local(3)
        m = local(1)
        s = local(3)
        size = width // per if per else 8
        store8(m, per)
        store8(s, size)
        store8(s + 8, size)
        store8(s + 16, size)
        for i in range(count):
            k = load8(a + 8 * i)
            if k < 0 or k >= n:
                store8(steps, 1)
                return
            if loop == 1:
                stored(c + 8 * k, loadd(c + 8 * k) + loadd(b + 8 * i))
            else:
                store8(p, c + width * k)
                store8(p + 8, b + width * i)
                store8(p + 16, c + width * k)
                call_loop(loop, p, m, s, extra)
    else:  # put: (idx, v, out), out is a copy of x
        for i in range(count):
            k = load8(a + 8 * i)
            if k < 0 or k >= n:
                store8(steps, 1)
                return
            move(c + width * k, b + width * i, width)
