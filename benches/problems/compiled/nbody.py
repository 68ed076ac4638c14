"""Hand-written limits of nbody, compiled by Numba; imported only where they run."""

import math

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def adjoint(s, steps, target, mass, soft, h):
    """Leapfrog forward, storing the midpoints; then its adjoint backward."""
    x, v = s[:6].copy(), s[6:].copy()
    middle = np.empty((steps, 6))
    for k in range(steps):
        m = middle[k]
        for i in range(6):
            m[i] = x[i] + 0.5 * h * v[i]
        for i in range(3):
            for j in range(i + 1, 3):
                dx, dy = m[2 * j] - m[2 * i], m[2 * j + 1] - m[2 * i + 1]
                r2 = dx * dx + dy * dy + soft
                w = h / (r2 * math.sqrt(r2))
                v[2 * i] += mass[j] * w * dx
                v[2 * i + 1] += mass[j] * w * dy
                v[2 * j] -= mass[i] * w * dx
                v[2 * j + 1] -= mass[i] * w * dy
        for i in range(6):
            x[i] = m[i] + 0.5 * h * v[i]
    bx, bv = 2 * (x - target), np.zeros(6)
    for k in range(steps - 1, -1, -1):
        m = middle[k]
        for i in range(6):
            bv[i] += 0.5 * h * bx[i]
        for i in range(3):
            for j in range(i + 1, 3):
                dx, dy = m[2 * j] - m[2 * i], m[2 * j + 1] - m[2 * i + 1]
                r2 = dx * dx + dy * dy + soft
                w = h / (r2 * math.sqrt(r2))
                gx = mass[j] * bv[2 * i] - mass[i] * bv[2 * j]
                gy = mass[j] * bv[2 * i + 1] - mass[i] * bv[2 * j + 1]
                c = 3 * w / r2 * (gx * dx + gy * dy)
                ex, ey = gx * w - c * dx, gy * w - c * dy
                bx[2 * i] -= ex
                bx[2 * i + 1] -= ey
                bx[2 * j] += ex
                bx[2 * j + 1] += ey
        for i in range(6):
            bv[i] += 0.5 * h * bx[i]
    return np.concatenate((bx, bv))
