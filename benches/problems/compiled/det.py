"""Hand-written limits of det, compiled by Numba; imported only where they run."""

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def compiled_primal(a, n, row, used):
    """The recursion compiled; the columns used are a bit mask."""
    total, sign = 0.0, 1.0
    for c in range(n):
        if used & (1 << c):
            continue
        if row == n - 1:
            return a[row * n + c]
        total += sign * a[row * n + c] * compiled_primal(a, n, row + 1, used | (1 << c))
        sign = -sign
    return total


@numba.njit(cache=True, error_model="numpy")
def adjoint(a, n, entries, starts, nodes):
    """starts[r]: first node of level r; a level's entries lie where the next level's nodes do."""
    minors = np.empty(nodes)
    for i in range(starts[n], nodes):
        minors[i] = 1.0
    for row in range(n - 1, -1, -1):
        width, child = n - row, starts[row + 1]
        for p in range(starts[row], starts[row + 1]):
            total, sign = 0.0, 1.0
            for _ in range(width):
                total += sign * a[entries[child]] * minors[child]
                sign = -sign
                child += 1
            minors[p] = total
    g = np.zeros(a.size)
    bars = np.empty(nodes)
    bars[0] = 1.0
    for row in range(n):
        width, child = n - row, starts[row + 1]
        for p in range(starts[row], starts[row + 1]):
            bar = bars[p]
            for _ in range(width):
                g[entries[child]] += bar * minors[child]
                bars[child] = bar * a[entries[child]]
                bar = -bar
                child += 1
    return g
