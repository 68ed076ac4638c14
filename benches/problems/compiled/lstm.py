"""Hand-written limits of lstm, compiled by Numba; imported only where they run."""

import math

import numba
import numpy as np


@numba.njit(cache=True, error_model="numpy")
def adjoint(main, extra, state, seq):
    """Back-propagation through time, gates and cells of the forward pass stored."""
    layers, b = len(main) // 2, seq.shape[1]
    n = len(seq) - 1
    kept = np.empty((n, layers, 8, b))  # x, h, c before; F, I, O, G, tanh c after
    h, c = state[0::2].copy(), state[1::2].copy()
    last, share = np.empty((n, b)), np.empty((n, b))
    for t in range(n):
        x = seq[t] * extra[0]
        for i in range(layers):
            w, bias, k = main[2 * i], main[2 * i + 1], kept[t, i]
            for j in range(b):
                k[0, j], k[1, j], k[2, j] = x[j], h[i, j], c[i, j]
                k[3, j] = 1 / (1 + math.exp(-(x[j] * w[j] + bias[j])))
                k[4, j] = 1 / (1 + math.exp(-(h[i, j] * w[b + j] + bias[b + j])))
                k[5, j] = 1 / (1 + math.exp(-(x[j] * w[2 * b + j] + bias[2 * b + j])))
                k[6, j] = math.tanh(h[i, j] * w[3 * b + j] + bias[3 * b + j])
                c[i, j] = c[i, j] * k[3, j] + k[4, j] * k[6, j]
                k[7, j] = math.tanh(c[i, j])
                h[i, j] = k[5, j] * k[7, j]
                x[j] = h[i, j]
        top = 2.0
        for j in range(b):
            last[t, j] = x[j]
            share[t, j] = math.exp(x[j] * extra[1, j] + extra[2, j])
            top += share[t, j]
        for j in range(b):
            share[t, j] /= top
    d_main, d_extra = np.zeros_like(main), np.zeros_like(extra)
    bh, bc = np.zeros((layers, b)), np.zeros((layers, b))
    bx, scale = np.empty(b), -1.0 / (n * b)
    for t in range(n - 1, -1, -1):
        ones = seq[t + 1].sum()
        for j in range(b):
            by = scale * (seq[t + 1, j] - ones * share[t, j])
            d_extra[1, j] += by * last[t, j]
            d_extra[2, j] += by
            bx[j] = by * extra[1, j]
        for i in range(layers - 1, -1, -1):
            w, k, dw, db = main[2 * i], kept[t, i], d_main[2 * i], d_main[2 * i + 1]
            for j in range(b):
                out = bx[j] + bh[i, j]
                inner = bc[i, j] + out * k[5, j] * (1 - k[7, j] * k[7, j])
                pf = inner * k[2, j] * k[3, j] * (1 - k[3, j])
                pi = inner * k[6, j] * k[4, j] * (1 - k[4, j])
                po = out * k[7, j] * k[5, j] * (1 - k[5, j])
                pg = inner * k[4, j] * (1 - k[6, j] * k[6, j])
                bc[i, j] = inner * k[3, j]
                dw[j] += pf * k[0, j]
                dw[b + j] += pi * k[1, j]
                dw[2 * b + j] += po * k[0, j]
                dw[3 * b + j] += pg * k[1, j]
                db[j] += pf
                db[b + j] += pi
                db[2 * b + j] += po
                db[3 * b + j] += pg
                bx[j] = pf * w[j] + po * w[2 * b + j]
                bh[i, j] = pi * w[b + j] + pg * w[3 * b + j]
        for j in range(b):
            d_extra[0, j] += bx[j] * seq[t, j]
    return d_main, d_extra
