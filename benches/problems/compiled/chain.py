"""Hand-written limits of chain, compiled by Numba; imported only where they run."""

import math

import numba
import numpy as np


@numba.njit(parallel=True, cache=True, error_model="numpy")
def loop(x):
    g = np.empty_like(x)
    for i in numba.prange(x.size):
        t = math.tanh(2 * x[i] + 0.5)
        g[i] = 2 * math.exp(-x[i] * x[i]) * (1 - t * t - x[i] * t)
    return g


@numba.njit(parallel=True, cache=True, error_model="numpy")
def loop_trig(x):
    g = np.empty_like(x)
    for i in numba.prange(x.size):
        s, c = math.sin(x[i]), math.cos(x[i])
        ss, cc = s * s, c * c
        g[i] = 3 * cc * (4 * cc - 3) - ss * (3 - 4 * ss) + 2 * x[i] / (1 + x[i] * x[i])
    return g
