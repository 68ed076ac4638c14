"""det: determinant by expansion along the first row, on Python scalars."""

import math

import numpy as np

from .. import peers
from ..problem import Known, Problem


def make(size):
    np.random.seed(31337)
    for n in range(5, size + 1):
        a = np.random.rand(n * n)
    return (a,)


def expand(a, n, row, columns):
    """Determinant of the rows from `row` on and the columns given."""
    if row == n - 1:
        return a[row * n + columns[0]]
    total = 0.0
    for k, c in enumerate(columns):
        minor = expand(a, n, row + 1, columns[:k] + columns[k + 1 :])
        if k % 2 == 0:
            total = total + a[row * n + c] * minor
        else:
            total = total - a[row * n + c] * minor
    return total


def primal(x):
    n = math.isqrt(len(x))
    return expand([x[i] for i in range(n * n)], n, 0, list(range(n)))


def reference(x):
    n = math.isqrt(x.size)
    m = x.reshape(n, n)
    return np.linalg.det(m) * np.linalg.inv(m).T.ravel()


def levels(n):
    """The same expansion level by level, nothing shared: per row the entries and signs used.

    Level r holds one minor for each ordered choice of r columns; its children lie side by side.
    """
    entries, columns = [], np.arange(n)[None]
    for row in range(n):
        entries.append(row * n + columns)
        width = columns.shape[1]
        if width == 1:
            break
        keep = np.array([[c for c in range(width) if c != k] for k in range(width)], dtype=int)
        columns = columns[:, keep].reshape(-1, width - 1)
    signs = [(-1.0) ** np.arange(n - row) for row in range(n)]
    return entries, signs


def by_levels(xp, a, n, tables):
    entries, signs = tables
    minors = a[entries[-1]].reshape(-1)
    for row in range(n - 2, -1, -1):
        terms = a[entries[row]] * minors.reshape(-1, n - row)
        minors = xp.matmul(terms, signs[row])
    return minors[0]


def with_jittape(x):
    import jittape

    g = jittape.grad(primal)
    return lambda: g(x)


def with_jax_unrolled(x):
    jax, _ = peers.jax_modules()
    n = math.isqrt(x.size)

    def det(x):
        return expand([x[i] for i in range(n * n)], n, 0, list(range(n)))

    return peers.jax_run(jax.grad(det), x)


def with_jax(x):
    jax, jnp = peers.jax_modules()
    n = math.isqrt(x.size)
    tables = levels(n)
    return peers.jax_run(jax.grad(lambda a: by_levels(jnp, a, n, tables)), x)


def with_torch(x):
    import torch

    n = math.isqrt(x.size)
    tables = [[torch.tensor(t) for t in table] for table in levels(n)]
    return peers.torch_run(lambda a: by_levels(torch, a, n, tables), [peers.torch_leaf(x)])


def with_autograd(x):
    import autograd

    anp = peers.autograd_numpy()
    n = math.isqrt(x.size)
    tables = levels(n)
    g = autograd.grad(lambda a: by_levels(anp, a, n, tables))
    return lambda: g(x)


def with_casadi(x):
    import casadi as ca

    n = math.isqrt(x.size)
    s = ca.SX.sym("a", x.size)
    f = expand(ca.vertsplit(s), n, 0, list(range(n)))
    return peers.casadi_run(ca.Function("g", [s], [ca.gradient(f, s)]), x)


def by_numba(x):
    from .compiled.det import adjoint

    n = math.isqrt(x.size)
    tables = levels(n)[0]
    starts = np.cumsum([0, 1] + [t.size for t in tables])
    entries = np.concatenate([np.zeros(1, dtype=np.int64)] + [t.ravel() for t in tables])
    return lambda: adjoint(x, n, entries, starts, starts[-1])


def numba_primal(x):
    from .compiled.det import compiled_primal

    n = math.isqrt(x.size)
    return lambda: compiled_primal(x, n, 0, 0)


PROBLEM = Problem(
    name="det",
    what="gradient of a determinant by expansion along the first row, on scalars",
    sizes={str(n): n for n in range(5, 9)},
    small=("5", "6"),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax unrolled": with_jax_unrolled,
        "jax": with_jax,
        "torch": with_torch,
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numba": by_numba,
        "numba primal": numba_primal,
    },
    reference=reference,
    axis="l",
    known={"5": Known(0.004911350094511796, 0.03034121506342437)},
    unit="multiply or add of the primal",
    units={str(n): 2.0 * sum(math.perm(n, r) for r in range(2, n + 1)) for n in range(5, 9)},
)
