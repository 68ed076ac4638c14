"""Matrix products that BLAS is slow at, with the signature of matmul's loop. Imports Numba.

BLAS packs both operands before it multiplies, which pays where each element is read hundreds of
times, and a call of it costs more than a small product. Here a tile of the result stays in
registers; the left operand is read where it lies, one element at a time, whatever its strides,
and of the right one only a panel is copied. Which products come here: passes/products.py.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit

from jittape.cpu import wide_vectors
from jittape.execute.primitives import doubles, floats, kernel, load8, loadd, loadf, local, stored
from jittape.execute.tiles import tiles

# Tiles: (half vectors, rows). 24 of AVX-512's 32 registers hold sums, or 12 of AVX2's 16.
PANELS: tuple[tuple[int, int], ...] = ((1, 12), (2, 12), (3, 12), (4, 12), (6, 8), (8, 6))
if not wide_vectors():
    PANELS = ((1, 8), (2, 6), (3, 4))
WIDEST = PANELS[-1][0]
PANEL = 2048  # elements of the copied panel
DEPTH = 256  # most rows of it
REST = DEPTH * 12  # elements of the copied last rows of the left operand


def _small(lane, item):
    """Tiles by read, columns and rows: intrinsics of their own, as a switch costs 4 ns."""
    m44, m84, m88 = (tiles(lane, [([w], r, "masked")]) for w, r in ((4, 4), (8, 4), (8, 8)))
    l44, l84, l88 = (tiles(lane, [([w], r, "lanes")]) for w, r in ((4, 4), (8, 4), (8, 8)))

    @njit
    def small(args, dims, steps):
        a, b, c = load8(args), load8(args + 8), load8(args + 16)
        m, k, n = load8(dims + 8), load8(dims + 16), load8(dims + 24)
        a0, a1 = load8(steps + 24), load8(steps + 32)
        b0, b1 = load8(steps + 40), load8(steps + 48)
        c0 = load8(steps + 56)
        sa, sb, sc = load8(steps), load8(steps + 8), load8(steps + 16)
        if n == 1:  # a column: as the row of the transposed product
            a, b, sa, sb = b, a, sb, sa
            a1, b0, b1 = b0, a1, a0
            m, n = 1, m
        for _ in range(load8(dims)):
            for j in range(0, n, 8):
                columns = n - j
                i = 0
                while i < m:
                    have = m - i
                    x, y, z = a + i * a0, b + j * b1, c + i * c0 + item * j
                    if b1 == item:
                        if columns <= 4:
                            m44(0, x, a0, a1, y, b0, b1, k, z, c0, have, columns, 0)
                            i += 4
                        elif have <= 4:
                            m84(0, x, a0, a1, y, b0, b1, k, z, c0, have, columns, 0)
                            i += 4
                        else:
                            m88(0, x, a0, a1, y, b0, b1, k, z, c0, have, columns, 0)
                            i += 8
                    elif columns <= 4:
                        l44(0, x, a0, a1, y, b0, b1, k, z, c0, have, columns, 0)
                        i += 4
                    elif have <= 4:
                        l84(0, x, a0, a1, y, b0, b1, k, z, c0, have, columns, 0)
                        i += 4
                    else:
                        l88(0, x, a0, a1, y, b0, b1, k, z, c0, have, columns, 0)
                        i += 8
            a += sa
            b += sb
            c += sc

    return small


@njit
def panel_of(units):
    """(number, rows) of the narrowest tile of so many half vectors."""
    which, rows = 0, PANELS[0][1]
    for k in range(1, len(PANELS)):
        if units > PANELS[k - 1][0]:
            which, rows = k, PANELS[k][1]
    return which, rows


def _wide(lane, unit, item, pointer, load):
    """unit: elements of half a vector."""
    widths = [([2 * unit] * (u // 2) + [unit] * (u % 2), r, "panel") for u, r in PANELS]
    tile = tiles(lane, widths)

    @njit(inline="never")
    def copy_panel(to, width, b, b0, b1, depth, columns):
        """`depth` rows of `columns` elements, filled up with zeros to `width` elements."""
        for _ in range(depth):
            out = pointer(to)
            if b1 == item:
                xs = pointer(b)
                for j in range(columns):
                    out[j] = xs[j]
            else:
                for j in range(columns):
                    out[j] = load(b + j * b1)
            for j in range(columns, width):
                out[j] = 0
            to += item * width
            b += b0

    @njit(inline="never")
    def copy_rest(to, a, a0, a1, depth, have, rows):
        """The last rows, transposed, and zeros for those that are not there."""
        for _ in range(depth):
            out = pointer(to)
            for i in range(rows):
                out[i] = load(a + i * a0) if i < have else 0
            to += item * rows
            a += a1

    @njit
    def wide(args, dims, steps):
        a, b, c = load8(args), load8(args + 8), load8(args + 16)
        m, k, n = load8(dims + 8), load8(dims + 16), load8(dims + 24)
        a0, a1 = load8(steps + 24), load8(steps + 32)
        b0, b1 = load8(steps + 40), load8(steps + 48)
        c0 = load8(steps + 56)
        panel = local(PANEL)
        rest = local(REST)
        widest, _ = panel_of(min((n + unit - 1) // unit, WIDEST))
        blocks = (k * PANELS[widest][0] * unit + PANEL - 1) // PANEL
        if k > DEPTH * blocks:
            blocks = (k + DEPTH - 1) // DEPTH
        for _ in range(load8(dims)):
            low = 0
            for block in range(blocks):
                depth = k * (block + 1) // blocks - k * block // blocks
                add = 1 if low > 0 else 0
                for j in range(0, n, WIDEST * unit):
                    columns = min(WIDEST * unit, n - j)
                    which, rows = panel_of((columns + unit - 1) // unit)
                    width = unit * PANELS[which][0]
                    y, y0 = b + low * b0 + j * b1, item * width
                    copy_panel(panel, width, y, b0, b1, depth, columns)
                    for i in range(0, m, rows):
                        x, x0, x1 = a + i * a0 + low * a1, a0, a1
                        have = m - i
                        if have < rows:  # a tile reads all its rows
                            copy_rest(rest, x, a0, a1, depth, have, rows)
                            x, x0, x1 = rest, item, item * rows
                        z = c + i * c0 + item * j
                        tile(which, x, x0, x1, panel, y0, item, depth, z, c0, have, columns, add)
                low += depth
            a += load8(steps)
            b += load8(steps + 8)
            c += load8(steps + 16)

    return wide


_D, _F = ir.DoubleType(), ir.FloatType()
small_double, small_float = _small(_D, 8), _small(_F, 4)
wide_double, wide_float = _wide(_D, 4, 8, doubles, loadd), _wide(_F, 8, 4, floats, loadf)

# Each: dims (batch, m, k, n) and steps as matmul's loop has them; the result is contiguous.
# data: (width of an element,)


@kernel
def product(args, dims, steps, data):
    """Small products."""
    if load8(data) == 8:
        small_double(args, dims, steps)
    else:
        small_float(args, dims, steps)


@kernel
def wide(args, dims, steps, data):
    """Products of any size."""
    if load8(data) == 8:
        wide_double(args, dims, steps)
    else:
        wide_float(args, dims, steps)


@kernel
def dots(args, dims, steps, data):
    """A few short sums of float64, where even the tiles' preparations cost more."""
    a, b, c = load8(args), load8(args + 8), load8(args + 16)
    m, k, n = load8(dims + 8), load8(dims + 16), load8(dims + 24)
    a0, a1 = load8(steps + 24), load8(steps + 32)
    b0, b1 = load8(steps + 40), load8(steps + 48)
    for _ in range(load8(dims)):
        out = c
        for i in range(m):
            for j in range(n):
                p, q = a + i * a0, b + j * b1
                s = 0.0
                for _l in range(k):
                    s += loadd(p) * loadd(q)
                    p += a1
                    q += b0
                stored(out, s)
                out += 8
        a += load8(steps)
        b += load8(steps + 8)
        c += load8(steps + 16)
