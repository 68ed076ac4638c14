"""Hand-written limits of kmeans, compiled by Numba; imported only where they run."""

import numba
import numpy as np


@numba.njit(cache=True, parallel=True, error_model="numpy", fastmath={"reassoc", "contract"})
def loops(centres, points, chunks):
    k, d = centres.shape
    sums, counts = np.zeros((chunks, k, d)), np.zeros((chunks, k))
    n = len(points)
    for chunk in numba.prange(chunks):
        for i in range(chunk * n // chunks, (chunk + 1) * n // chunks):
            best, nearest = np.inf, 0
            for j in range(k):
                r2 = 0.0
                for m in range(d):
                    e = points[i, m] - centres[j, m]
                    r2 += e * e
                if r2 < best:
                    best, nearest = r2, j
            counts[chunk, nearest] += 1.0
            for m in range(d):
                sums[chunk, nearest, m] += points[i, m]
    step = centres.copy()
    for j in range(k):
        count = counts[:, j].sum()
        for m in range(d):
            step[j, m] -= sums[:, j, m].sum() / count
    return step
