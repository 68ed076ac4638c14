"""Programs as scientists write them: layers, geometry, signals, dynamic programming."""
# ruff: noqa: E501 (tables)

import functools
import itertools
import math

import numpy as np
import pytest
from sequences import follow

R = np.random.default_rng(2)


def n(*shape):
    return R.normal(size=shape)


def conv_layer(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    out = np.einsum("ijkl,kl->ij", windows, kernel)
    out = np.maximum(out, 0)
    pooled = out[: out.shape[0] // 2 * 2, : out.shape[1] // 2 * 2]
    pooled = pooled.reshape(pooled.shape[0] // 2, 2, pooled.shape[1] // 2, 2).max(axis=(1, 3))
    return np.sum(pooled**2)


def conv_loops(image, kernel):
    h, w = image.shape[0] - 1, image.shape[1] - 1
    out = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            out[i, j] = np.sum(image[i : i + 2, j : j + 2] * kernel)
    return np.tanh(out).mean()


def lstm(params, xs):
    h, c = np.zeros(2), np.zeros(2)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    for x in xs:
        z = np.concatenate([h, [x, 1.0]]) @ params
        i, f, o, g = np.split(z, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h @ h


class Dense:
    def __init__(self, w, b, activation=np.tanh):
        self.w, self.b, self.activation = w, b, activation

    def __call__(self, x):
        return self.activation(x @ self.w + self.b)


class Network:
    def __init__(self, params):
        self.layers = [Dense(w, b) for w, b in params[:-1]]
        self.layers.append(Dense(*params[-1], activation=lambda z: z))

    def predict(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def network(params, x):
    return ((Network(params).predict(x) - 1.0) ** 2).mean()


def attention(q, k, v):
    scores = q @ k.T / np.sqrt(k.shape[-1])
    mask = np.triu(np.ones_like(scores), 1).astype(bool)
    scores = np.where(mask, -np.inf, scores)
    w = np.exp(scores - scores.max(axis=-1, keepdims=True))
    w /= w.sum(axis=-1, keepdims=True)
    return (w @ v).var()


def layer_norm(x, gamma):
    mu = x.mean(-1, keepdims=True)
    sigma = x.std(-1, keepdims=True)
    return np.sum((gamma * (x - mu) / (sigma + 1e-5)) ** 3)


def sgd_unrolled(w, rate):
    m = np.zeros_like(w)
    for t in range(1, 5):
        g = 2 * w * (w**2 - 1)
        m = 0.9 * m + 0.1 * g
        w = w - rate * m / (1 - 0.9**t)
    return np.sum((w**2 - 1) ** 2)


def rotation(axis, angle):
    a = axis / np.linalg.norm(axis)
    K = np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K)


def rodrigues(axis, angle):
    p = rotation(axis, angle) @ np.array([1.0, 2.0, 3.0])
    return np.arctan2(p[1], p[0]) + np.hypot(p[0], p[2])


def arm(angles):
    def link(theta, length):
        c, s = math.cos(theta), math.sin(theta)
        return np.array([[c, -s, length * c], [s, c, length * s], [0, 0, 1]])

    T = functools.reduce(np.matmul, [link(t, k + 1.0) for k, t in enumerate(angles)])
    x, y = T[:2, 2]
    return (x - 2) ** 2 + (y - 1) ** 2


def mesh_area(flat):
    v = flat.reshape(4, 3)
    total = 0.0
    for a, b, c in itertools.combinations(range(4), 3):
        total += 0.5 * np.linalg.norm(np.cross(v[b] - v[a], v[c] - v[a]))
    volume = np.dot(v[1] - v[0], np.cross(v[2] - v[0], v[3] - v[0])) / 6
    return total + abs(volume)


def lens(radius, height):
    index = 1.5
    theta = np.arcsin(height / radius)
    refracted = np.arcsin(np.sin(theta) / index)
    ray = np.array([np.cos(theta - refracted), -np.sin(theta - refracted)])
    t = -height / ray[1] if ray[1] != 0 else np.inf
    return t * ray[0]


def jones(angle, phase):
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    plate = np.array([[1, 0], [0, np.exp(1j * phase)]])
    e = turn @ plate @ turn.T @ np.array([1.0 + 0j, 1j]) / np.sqrt(2)
    return np.abs(e[0]) ** 2 - 0.3 * np.angle(e[1]) + np.real(np.vdot(e, e * [1, 2]))


def impedance(r, c):
    omega = np.logspace(0, 2, 5)
    z = r + 1 / (1j * omega * c)
    gain = 1j * omega / (z + 10.0)
    return np.sum(20 * np.log10(np.abs(gain))) + np.sum(np.unwrap(np.angle(gain)))


def fft_filter(x, cutoff):
    spectrum = np.fft.rfft(x)
    freq = np.fft.rfftfreq(x.size)
    smooth = np.fft.irfft(spectrum / (1 + (freq / cutoff) ** 4), n=len(x))
    return np.sum(smooth**2) + np.abs(spectrum[1])


def autocorrelation(x):
    f = np.fft.fft(x, 16)
    r = np.fft.ifft(f * np.conj(f)).real[:4]
    return (
        r[1] / r[0] + np.correlate(x, x, mode="full")[len(x)] + np.convolve(x, [1, 2, 1], "same")[0]
    )


def butterworth(x, a):
    y = np.zeros_like(x)
    for i in range(len(x)):
        y[i] = a * x[i] + (1 - a) * (y[i - 1] if i else 0.0)
    return np.sum(np.abs(y - x) ** 1.5)


def dtw(a, b):
    m, k = len(a), len(b)
    D = np.full((m + 1, k + 1), np.inf)
    D[0, 0] = 0
    for i in range(1, m + 1):
        for j in range(1, k + 1):
            cost = (a[i - 1] - b[j - 1]) ** 2
            D[i, j] = cost + min(D[i - 1, j], D[i, j - 1], D[i - 1, j - 1])
    return D[m, k]


def soft_dtw(a, b):
    def softmin(*v):
        z = -np.array(v) / 0.5
        top = np.max(z)
        return -0.5 * (np.log(np.sum(np.exp(z - top))) + top)

    D = {(0, 0): 0.0}
    for i in range(len(a) + 1):
        for j in range(len(b) + 1):
            if i == 0 and j == 0:
                continue
            previous = [D[p] for p in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if p in D]
            D[i, j] = (a[i - 1] - b[j - 1]) ** 2 + softmin(*previous)
    return D[len(a), len(b)]


def viterbi(scores, transition):
    best = scores[0]
    back = []
    for row in scores[1:]:
        candidates = best[:, None] + transition
        back.append(candidates.argmax(axis=0))
        best = candidates.max(axis=0) + row
    state = int(np.argmax(best))
    path = [state]
    for b in reversed(back):
        state = b[state]
        path.append(state)
    return best.max() + 0.1 * sum(scores[t, s] ** 2 for t, s in enumerate(reversed(path)))


def knapsack(values):
    weights = (1, 3, 2, 4)

    @functools.lru_cache(None)
    def best(i, left):
        if i == len(weights):
            return 0.0
        skip = best(i + 1, left)
        if weights[i] > left:
            return skip
        return max(skip, values[i] + best(i + 1, left - weights[i]))

    return best(0, 6) ** 2


def shortest_path(w):
    d = np.full((4, 4), 10.0)
    d[np.diag_indices(4)] = 0
    for k, (i, j) in enumerate([(0, 1), (1, 2), (2, 3), (0, 2), (1, 3)]):
        d[i, j] = d[j, i] = w[k]
    for k in range(4):
        d = np.minimum(d, d[:, k : k + 1] + d[k : k + 1, :])
    return d[0, 3] ** 2 + d.sum()


def matrix_exponential(a):
    term = np.eye(2)
    total = np.eye(2)
    A = np.array([[0.0, a], [-a, 0.1]])
    k = 1
    while np.abs(term).max() > 1e-10:
        term = term @ A / k
        total = total + term
        k += 1
    return total[0, 1] + np.trace(total)


def power_iteration(m):
    v = np.ones(3)
    for _ in range(30):
        v = (m @ m.T) @ v
        v /= np.sqrt(v @ v)
    return v @ m @ m.T @ v


CASES = {
    "conv": (conv_layer, [(n(7, 7), n(3, 3)), (n(7, 7), n(3, 3))], {}),
    "conv_loops": (conv_loops, [(n(4, 4), n(2, 2)), (n(4, 4), n(2, 2))], {"vmap": True}),
    "lstm": (lstm, [(n(4, 8), n(4)), (n(4, 8), n(4))], {}),
    "network": (network, [([(n(2, 3), n(3)), (n(3, 1), n(1))], n(4, 2)), ([(n(2, 3), n(3)), (n(3, 1), n(1))], n(4, 2))], {}),
    "attention": (attention, [(n(3, 2), n(3, 2), n(3, 2)), (n(3, 2), n(3, 2), n(3, 2))], {"hessian": True, "vmap": True}),
    "layer_norm": (layer_norm, [(n(3, 4), n(4)), (n(3, 4), n(4))], {"hessian": True, "vmap": True}),
    "sgd": (sgd_unrolled, [(n(3), 0.1), (n(3), 0.05)], {"hessian": True, "vmap": True}),
    "rodrigues": (rodrigues, [(n(3), 0.7), (n(3), -1.2)], {"hessian": True, "vmap": True}),
    "arm": (arm, [(n(3),), (n(3),)], {"hessian": True, "vmap": True}),
    "mesh": (mesh_area, [(n(12),), (n(12),)], {"hessian": True}),
    "lens": (lens, [(2.0, 0.3), (3.0, -0.5)], {"hessian": True}),
    "jones": (jones, [(0.3, 1.0), (1.2, 2.0)], {"hessian": True}),
    "impedance": (impedance, [(1.0, 0.1), (3.0, 0.02)], {"hessian": True}),
    "fft": (fft_filter, [(n(9), 0.2), (n(8), 0.1)], {"hessian": True}),
    "autocorrelation": (autocorrelation, [(n(7),), (n(7),)], {"hessian": True}),
    "butterworth": (butterworth, [(n(6), 0.3), (n(6), 0.8)], {"vmap": True}),
    "dtw": (dtw, [(n(3), n(4)), (n(3), n(4)), (n(3), n(4))], {}),
    "soft_dtw": (soft_dtw, [(n(3), n(3)), (n(3), n(3))], {"hessian": True, "vmap": True}),
    "viterbi": (viterbi, [(n(4, 3), n(3, 3)), (n(4, 3), n(3, 3))], {}),
    "knapsack": (knapsack, [(n(4) + 2,), (n(4) + 2,)], {}),
    "shortest": (shortest_path, [(R.uniform(1, 3, 5),), (R.uniform(1, 3, 5),)], {"vmap": True}),
    "expm": (matrix_exponential, [(0.5,), (1.5,), (0.6,)], {"hessian": True}),
    "power": (power_iteration, [(n(3, 3),), (n(3, 3),)], {"rtol": 1e-4}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_models(name):
    fun, calls, options = CASES[name]
    follow(fun, *calls, **options)
