"""Hand-written limit of ode: the states are stored, the adjoint runs back over them."""

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def adjoint(start, springs, steps, h):
    k, c, s, d = springs
    a, b, u, v = start
    kept = np.empty((steps, 4))
    for i in range(steps):
        kept[i, 0], kept[i, 1], kept[i, 2], kept[i, 3] = a, b, u, v
        pull = c * (b - a)
        u += h * (pull - a * (k + s * a * a) - d * u)
        v += h * (-pull - b * (k + s * b * b) - d * v)
        a += h * u
        b += h * v
    ba, bb, bu, bv = 2 * a, 2 * b, 2 * u, 4 * v
    bk = bc = bs = bd = 0.0
    for i in range(steps - 1, -1, -1):
        a, b, u, v = kept[i]
        bu += h * ba
        bv += h * bb
        f, g = h * bu, h * bv
        bk -= a * f + b * g
        bs -= a * a * a * f + b * b * b * g
        bd -= u * f + v * g
        bc += (b - a) * (f - g)
        ba -= c * (f - g) + (k + 3 * s * a * a) * f
        bb += c * (f - g) - (k + 3 * s * b * b) * g
        bu -= d * f
        bv -= d * g
    return np.array([ba, bb, bu, bv]), np.array([bk, bc, bs, bd])
