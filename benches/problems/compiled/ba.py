"""Hand-written limit of ba: the 2 x 15 block of each observation, straight into CSR's values."""

import math

import numba
import numpy as np


@numba.njit(parallel=True, cache=True, error_model="numpy")
def fill(x, features, camera_of, point_of, n, m):
    p = len(camera_of)
    data = np.empty(31 * p)
    weights = x[11 * n + 3 * m :]
    for i in numba.prange(p):
        cam = x[11 * camera_of[i] : 11 * camera_of[i] + 11]
        at = 11 * n + 3 * point_of[i]
        a, b, c = x[at] - cam[3], x[at + 1] - cam[4], x[at + 2] - cam[5]
        theta2 = cam[0] ** 2 + cam[1] ** 2 + cam[2] ** 2
        # R and dz/dr, both 3 x 3, on the stack as rows of a small array
        R = np.empty((3, 3))
        D = np.empty((3, 3))
        if theta2 > 0:
            theta = math.sqrt(theta2)
            co, si = math.cos(theta), math.sin(theta)
            inv, less = 1 / theta, 1 - co
            v1, v2, v3 = cam[0] * inv, cam[1] * inv, cam[2] * inv
            R[0, 0], R[0, 1], R[0, 2] = (
                co + v1 * v1 * less,
                v1 * v2 * less - v3 * si,
                v1 * v3 * less + v2 * si,
            )
            R[1, 0], R[1, 1], R[1, 2] = (
                v1 * v2 * less + v3 * si,
                co + v2 * v2 * less,
                v2 * v3 * less - v1 * si,
            )
            R[2, 0], R[2, 1], R[2, 2] = (
                v1 * v3 * less - v2 * si,
                v2 * v3 * less + v1 * si,
                co + v3 * v3 * less,
            )
            dot = v1 * a + v2 * b + v3 * c
            x1, x2, x3 = v2 * c - v3 * b, v3 * a - v1 * c, v1 * b - v2 * a
            # by the angle, along v
            t1 = -a * si + x1 * co + v1 * dot * si
            t2 = -b * si + x2 * co + v2 * dot * si
            t3 = -c * si + x3 * co + v3 * dot * si
            for j in range(3):
                vj = v1 if j == 0 else (v2 if j == 1 else v3)
                e1 = ((1.0 if j == 0 else 0.0) - v1 * vj) * inv
                e2 = ((1.0 if j == 1 else 0.0) - v2 * vj) * inv
                e3 = ((1.0 if j == 2 else 0.0) - v3 * vj) * inv
                edot = (e1 * a + e2 * b + e3 * c) * less
                D[0, j] = t1 * vj + (e2 * c - e3 * b) * si + e1 * dot * less + v1 * edot
                D[1, j] = t2 * vj + (e3 * a - e1 * c) * si + e2 * dot * less + v2 * edot
                D[2, j] = t3 * vj + (e1 * b - e2 * a) * si + e3 * dot * less + v3 * edot
        else:
            r1, r2, r3 = cam[0], cam[1], cam[2]
            R[0, 0], R[0, 1], R[0, 2] = 1.0, -r3, r2
            R[1, 0], R[1, 1], R[1, 2] = r3, 1.0, -r1
            R[2, 0], R[2, 1], R[2, 2] = -r2, r1, 1.0
            D[0, 0], D[0, 1], D[0, 2] = 0.0, c, -b
            D[1, 0], D[1, 1], D[1, 2] = -c, 0.0, a
            D[2, 0], D[2, 1], D[2, 2] = b, -a, 0.0
        z1 = R[0, 0] * a + R[0, 1] * b + R[0, 2] * c
        z2 = R[1, 0] * a + R[1, 1] * b + R[1, 2] * c
        iz = 1 / (R[2, 0] * a + R[2, 1] * b + R[2, 2] * c)
        u, v = z1 * iz, z2 * iz
        s = u * u + v * v
        f, w = cam[6], weights[i]
        g = 1 + cam[9] * s + cam[10] * s * s
        h = 2 * f * (cam[9] + 2 * cam[10] * s)
        for row in range(2):
            # the residual's slopes by u and v, times the weight
            pu = w * (f * g + h * u * u if row == 0 else h * u * v)
            pv = w * (h * u * v if row == 0 else f * g + h * v * v)
            q1, q2 = pu * iz, pv * iz
            q3 = -(q1 * u + q2 * v)
            out = data[30 * i + 15 * row : 30 * i + 15 * row + 15]
            for j in range(3):
                out[j] = q1 * D[0, j] + q2 * D[1, j] + q3 * D[2, j]
                slope = q1 * R[0, j] + q2 * R[1, j] + q3 * R[2, j]
                out[3 + j] = -slope
                out[11 + j] = slope
            place = u if row == 0 else v
            out[6] = w * place * g
            out[7] = w if row == 0 else 0.0
            out[8] = 0.0 if row == 0 else w
            out[9] = w * place * s * f
            out[10] = w * place * s * s * f
            out[14] = place * g * f + cam[7 + row] - features[i, row]
        data[30 * p + i] = -2 * w
    return data
