"""Hand-written limit of lanes: one input per lane, so the tangent is carried forward."""

import math

import numba
import numpy as np


@numba.njit(parallel=True, cache=True, error_model="numpy")
def tangent(x, turns):
    g = np.empty_like(x)
    for i in numba.prange(x.size):
        a = x[i]
        y, dy = a, 1.0
        for _ in range(turns):
            t = math.tanh(a * y)
            dy += 0.1 * ((1 - t * t) * (y + a * dy) - y * dy)
            y += 0.1 * (t - 0.5 * y * y)
        g[i] = 2 * y * dy + 1
    return g
