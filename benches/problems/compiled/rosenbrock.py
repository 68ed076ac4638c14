"""Hand-written limits of rosenbrock, compiled by Numba; imported only where they run."""

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def fill(x):
    n = x.size
    out = np.empty(3 * n - 2)
    out[0] = 1200 * x[0] * x[0] - 400 * x[1] + 2
    for i in range(1, n):
        off = -400 * x[i - 1]
        out[3 * i - 2] = off
        out[3 * i - 1] = off
        out[3 * i] = 200.0
        if i < n - 1:
            out[3 * i] += 1200 * x[i] * x[i] - 400 * x[i + 1] + 2
    return out
