"""Programs as scientists write them: Python's own means (containers, generators, exceptions,
keywords) and NumPy's functions over functions."""
# ruff: noqa: E501 (tables)

import math
from collections import defaultdict, namedtuple

import numpy as np
import pytest
from sequences import follow

R = np.random.default_rng(2)


def n(*shape):
    return R.normal(size=shape)


Body = namedtuple("Body", "mass position")


def barycentre(mass, positions):
    bodies = [Body(m, p) for m, p in zip(mass, positions, strict=True)]
    total = sum(b.mass for b in bodies)
    centre = sum(b.mass * b.position for b in bodies) / total
    return sum(b.mass * ((b.position - centre) ** 2).sum() for b in bodies)


def grouped(x):
    groups = defaultdict(list)
    for i, v in enumerate(x):
        groups["up" if v > 0 else "down"].append(v * i)
    text = f"{len(groups['up'])} up, {x[0]:.2f} first"
    means = {k: sum(v) / len(v) for k, v in sorted(groups.items())}
    return sum(m**2 for m in means.values()) + len(text)


def generators(x):
    def pairs(values):
        it = iter(values)
        for a in it:
            b = next(it, None)
            yield a if b is None else a * b

    return sum(pairs(x)) + max(v for v in x) - min(x) + sorted(x, key=abs)[0] + math.prod(x)


def guarded(x):
    try:
        y = math.log(x)
    except ValueError:
        y = x**2
    try:
        z = math.sqrt(x - 2)
    except ValueError:
        z = 1.0
    else:
        z = 2 * z
    return y * z + x


def options(x, *, power=2, scale=1.0, **extra):
    out = scale * x**power
    for name, value in extra.items():
        out = out + (value * x if name.startswith("lin") else value)
    return np.sum(out)


def with_options(x, scale):
    return options(x, scale=scale, lin=0.5, power=3) + options(x, other=2.0)


def interpolate(x, table):
    grid = np.linspace(0, 1, 5)
    i = np.clip(np.searchsorted(grid, x) - 1, 0, 3)
    t = (x - grid[i]) / (grid[i + 1] - grid[i])
    return np.sum(table[i] * (1 - t) + table[i + 1] * t) + np.interp(x, grid, table).sum()


def spline(y, at):
    k = len(y)
    A = np.diag(np.full(k, 4.0)) + np.diag(np.ones(k - 1), 1) + np.diag(np.ones(k - 1), -1)
    rhs = np.zeros(k)
    rhs[1:-1] = 3 * (y[2:] - y[:-2])
    rhs[[0, -1]] = 3 * (y[1] - y[0]), 3 * (y[-1] - y[-2])
    d = np.linalg.solve(A, rhs)
    i = int(at)
    t = at - i
    h00, h10 = 2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t
    h01, h11 = -2 * t**3 + 3 * t**2, t**3 - t**2
    return h00 * y[i] + h10 * d[i] + h01 * y[i + 1] + h11 * d[i + 1]


def masked_update(x):
    y = x.copy()
    y[y < 0] *= 0.1
    y[np.abs(y) > 1] = np.sign(y[np.abs(y) > 1]) * 1.5
    y[::2] += y[1::2] ** 2
    y[[0, 2]] = y[[2, 0]]
    return np.sum(y * np.arange(y.size))


def piecewise_material(strain):
    stress = np.piecewise(
        strain, [strain < 0.5, strain >= 0.5], [lambda e: 2 * e, lambda e: 1 + 0.1 * np.sqrt(e)]
    )
    return np.trapezoid(stress * strain, strain) + np.select([strain > 1], [strain**2], 0.5).sum()


def along_axis(x):
    f = np.apply_along_axis(lambda row: np.dot(row, row) * row[0], 1, x)
    g = np.array([np.prod(r) for r in x])
    return f.sum() + np.outer(g, g).trace() + np.kron(x[0], x[1]).sum() + np.ptp(x)


def vectorized(x):
    f = np.vectorize(lambda v, c: v * c if v > 0 else c - v)
    return f(x, 2.0).sum()


def lists_in_ufuncs(a, b):
    joint = np.exp([a, b]).sum() + np.maximum.reduce([a, b, 0.1]) + np.logaddexp.reduce([a, b])
    return (
        joint
        + np.linalg.norm([a, b, a * b])
        + np.linalg.det([[a, 1.0], [b, a]])
        + np.hypot(*[a, b])
    )


def rows(x):
    m = np.r_[x, 1.0, x[::-1]]
    c = np.c_[x, x**2]
    total = sum(v * (i + j) for (i, j), v in np.ndenumerate(c))
    return m @ np.arange(m.size) + total + np.fromiter((v * v for v in x), float).sum()


def single_precision(x):
    y = np.float32(0.5) * x + np.tanh(x).astype(np.float32)
    return (y * y).sum(dtype=np.float32)


CASES = {
    "barycentre": (barycentre, [(R.uniform(1, 2, 3), n(3, 2)), (R.uniform(1, 2, 3), n(3, 2))], {"hessian": True}),
    "grouped": (grouped, [(np.array([1.0, -2, 0.5, -0.1]),), (np.array([-1.0, -2, 0.5, 0.1]),)], {}),
    "generators": (generators, [(n(5),), (n(5),)], {}),
    "guarded": (guarded, [(3.0,), (1.0,), (-2.0,), (2.5,)], {}),
    "options": (with_options, [(n(3), 2.0), (n(3), 0.5)], {"hessian": True, "vmap": True}),
    "interpolate": (interpolate, [(np.array([0.1, 0.6]), n(5)), (np.array([0.3, 0.9]), n(5))], {}),
    "spline": (spline, [(n(5), 1.3), (n(5), 2.7), (n(5), 1.6)], {}),
    "masked": (masked_update, [(n(6),), (n(6) * 2,), (n(6),)], {}),
    "piecewise": (piecewise_material, [(np.array([0.1, 0.4, 0.9, 1.2]),), (np.array([0.2, 0.6, 0.9, 0.95]),)], {}),
    "along_axis": (along_axis, [(n(3, 2),), (n(3, 2),)], {"hessian": True}),
    "vectorized": (vectorized, [(n(4),), (n(4),)], {}),
    "lists": (lists_in_ufuncs, [(0.3, 0.7), (1.1, -0.4)], {}),
    "rows": (rows, [(n(3),), (n(3),)], {}),
    "single": (single_precision, [(n(3).astype(np.float32),), (n(3).astype(np.float32),)], {"rtol": 1e-3, "atol": 1e-3}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_python(name):
    fun, calls, options = CASES[name]
    follow(fun, *calls, **options)
