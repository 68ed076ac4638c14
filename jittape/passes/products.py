"""Matrix products: which kernel, by a rule that was measured, and over which dimensions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import numpy as np

from jittape.config import config
from jittape.cpu import wide_vectors
from jittape.ops.declare import Signature
from jittape.passes import kernels
from jittape.passes.views import View

# Measured on Zen 4 (AVX-512) against OpenBLAS 0.3.30, all shapes of 1, 2, 3, 4, 6, 8, 12, ...,
# 2048 and all layouts. A call of BLAS costs 40 ns and more, of `product` 11, of `dots` 4. BLAS
# copies both operands from a million multiplications on, and is half as fast where one dimension
# is short; with the right operand transposed it is slow at small sizes, too.
COPYING = 1_000_000
# From here on OpenBLAS uses its own threads, if it has several. These spin for milliseconds after
# each product, on cores that other work then waits for: jittape's workers share `wide` instead.
THREADED = 262_144
NARROW = 16  # columns up to which `wide` wins with 16 vector registers, too (measured as Haswell)


def kernel(s: Signature, dims: tuple[int, int, int], right: tuple[int, ...]) -> tuple | None:
    """Kernel of matrix products of signature s with dims (m, k, n) and the strides of the right
    operand, whose result is contiguous; None where there is none for the dtypes."""
    blas = kernels.find(s)
    item = s.out.dtype.itemsize
    if config.bit_exact or blas is None or s.out.dtype.char not in "fd":
        return blas
    m, k, n = dims
    own = choose(m, k, n, right[-1] != item)
    if own is None and m * k * n > THREADED and m >= 4 and n >= 2 and blas_threads() > 1:
        own = "wide"
    if own == "wide" and n > NARROW and not wide_vectors():
        own = None
    if own is None:
        return blas
    if own == "dots":
        return ("dots",) if item == 8 else ("product", (item,))
    return (own, (item,))


def choose(m: int, k: int, n: int, transposed: bool) -> str | None:
    """Which of jittape's kernels is faster than BLAS on one thread, or None. transposed: the rows
    of the right operand are not contiguous."""
    work = m * k * n
    if work <= 12:
        return "dots"
    if k == 1:
        return "product"
    if n == 1:
        few = m > 1 and k <= 16 and work <= 192
    elif m == 1:
        few = k <= 16 and n <= 24
    elif n <= 3:
        few = k <= 16 and work <= 1024
    elif n <= 8:
        few = k <= 24 and work <= 8192
    elif transposed:
        few = k <= 24 and n <= 64 and work <= 16384
    else:
        few = m >= 3 and work <= 8192 and (k <= 24 if n <= 24 else k <= 8 and n <= 32)
    if few:
        return "product"
    if m >= 24 and n >= 2 and work > COPYING:
        return "wide"
    if transposed and m >= 64 and n >= 4 and (k <= 24 or (m >= 128 and n >= 16)):
        return "wide"
    return None


@dataclass(frozen=True)
class Cut:
    """How a product is shared among threads: `chunks` parts of its (stack, rows, -, columns),
    the last of which has what is left over. cost: in element operations, as a group's."""

    dimension: int
    per: int
    chunks: int
    cost: int


PART = 400_000  # multiplications of a chunk, about 20 us, at least
MOST_PARTS = 64
ROWS = 24  # a multiple of the rows of each tile of execute/products.py
ENOUGH_ROWS = 144  # of a chunk, so that its copy of the right operand costs less than 3 %


def cut(kernel: tuple, dims: tuple[int, int, int, int], item: int) -> Cut | None:
    """How to share a product of these dims (stack, m, k, n), or None. Each number comes out as if
    it were not shared: `wide` sums by blocks of k that depend on n only where n is small."""
    stack, m, k, n = dims
    work = stack * m * k * n
    chunks = min(MOST_PARTS, work // PART)
    if chunks < 2:
        return None
    cost = work // 6
    if stack > 1:
        if kernel[0] == np.matmul and m * k * n > THREADED:
            return None  # BLAS has its own threads
        per = -(-stack // chunks)
        return Cut(0, per, -(-stack // per), cost)
    if kernel[0] != "wide":
        return None
    panel = 256 // item  # columns
    if m < 2 * ENOUGH_ROWS and n >= 2 * panel:
        columns = -(-n // chunks // panel) * panel
        return Cut(3, columns, n // columns + (n % columns >= panel), cost)
    rows = -(-m // chunks // ROWS) * ROWS
    if m >= 2 * ENOUGH_ROWS:
        rows = max(rows, ENOUGH_ROWS)
    # a last chunk of a few rows would copy the right operand once more
    parts = m // rows + (m % rows >= min(ROWS, rows // 2))
    return Cut(1, rows, parts, cost) if parts > 1 else None


@cache
def blas_threads() -> int:
    """Threads that BLAS uses for large products."""
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def readable(v: View) -> bool:
    """Whether BLAS reads matrices as they lie: one of their strides is the item's."""
    (m, k), (sm, sk), item = v.shape[-2:], v.strides[-2:], v.itemsize
    rows = sk == item and sm % item == 0 and sm >= k * item
    columns = sm == item and sk % item == 0 and sk >= m * item
    return rows or columns or m == 1 or k == 1 or m * k <= 64


def single(s: Signature, a: View, b: View) -> tuple[tuple, tuple, tuple] | None:
    """(kernel, dims, steps) of the product of two small matrices; None where BLAS would need a
    copy of one of them, or the dtypes have no kernel."""
    (m, k), n = a.shape, b.shape[1]
    found = kernel(s, (m, k, n), b.strides)
    if found is None or (found[0] == np.matmul and not (readable(a) and readable(b))):
        return None
    item = s.out.dtype.itemsize
    return found, (1, m, k, n), (0, 0, 0, *a.strides, *b.strides, n * item, item)


def stacked(shape: tuple[int, ...], lines: list[tuple[int, ...]]) -> list[list[int]]:
    """Loops of (count, stride per array) over a stack of this shape. lines: strides of each array
    over the stack."""
    loops: list[list[int]] = []
    for d, count in enumerate(shape):
        if count == 1:
            continue
        line = [count] + [st[d] for st in lines]
        if loops and all(p == q * count for p, q in zip(loops[-1][1:], line[1:], strict=True)):
            loops[-1] = [loops[-1][0] * count] + line[1:]
        else:
            loops.append(line)
    return loops


def batched(
    shape: tuple[int, ...], lines: list[tuple[int, ...]], strides: tuple[tuple[int, ...], ...]
) -> tuple[int, list[list[int]]]:
    """(m, loops) of the products of a stack whose result has this shape.

    strides: those of the rows and columns of a, b and the result. A stack times one matrix is one
    product with more rows."""
    m = shape[-2]
    loops = stacked(shape[:-2], lines)
    a, _, c = strides
    if loops and loops[-1][1:] == [m * a[0], 0, m * c[0]]:
        m *= loops.pop()[0]
    return m, loops
