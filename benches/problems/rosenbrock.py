"""rosenbrock: the sparse Hessian of the chained Rosenbrock function."""

import numpy as np

from .. import peers
from ..problem import Problem

SIZES = {"1e3": 1000, "1e4": 10_000, "1e5": 100_000}


def make(n):
    return (np.random.default_rng(0).normal(size=n),)


def primal(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def closed_form(x):
    diag = np.zeros_like(x)
    diag[:-1] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    diag[1:] += 200
    return diag, -400 * x[:-1]


def reference(x):
    import scipy.sparse

    diag, off = closed_form(x)
    return scipy.sparse.diags_array([off, diag, off], offsets=[-1, 0, 1]).tocsr()


def pattern(n):
    """Indices and pointers of a tridiagonal CSR matrix, and its rows."""
    rows = np.repeat(np.arange(n), 3)[1:-1]
    columns = (np.arange(n)[:, None] + np.array([-1, 0, 1])).ravel()[1:-1]
    pointers = np.append(0, np.cumsum(np.bincount(rows, minlength=n)))
    return columns.astype(np.int32), pointers.astype(np.int32), rows


def seeds(n):
    """Three colours: columns 3 apart never share a row."""
    return (np.arange(n)[None] % 3 == np.arange(3)[:, None]).astype(float)


def with_jittape(x):
    import jittape

    h = jittape.hessian(primal, sparse=True)
    return lambda: h(x)


def compressed(n):
    """How an expert without sparse derivatives does it: three products, known pattern."""
    import scipy.sparse

    columns, pointers, rows = pattern(n)
    colour = columns % 3

    def assemble(products):
        return scipy.sparse.csr_array((products[colour, rows], columns, pointers), shape=(n, n))

    return assemble


def with_jax(x):
    jax, jnp = peers.jax_modules()
    assemble = compressed(x.size)

    def f(x):
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    @jax.jit
    def products(x, v):
        return jax.vmap(lambda v: jax.jvp(jax.grad(f), (x,), (v,))[1])(v)

    a, v = jnp.asarray(x), jnp.asarray(seeds(x.size))
    return lambda: assemble(np.asarray(products(a, v)))


def with_torch(x):
    import torch

    assemble = compressed(x.size)
    a, v = peers.torch_leaf(x), [torch.tensor(s) for s in seeds(x.size)]

    def run():
        head = a[:-1]
        f = (100 * (a[1:] - head**2) ** 2 + (1 - head) ** 2).sum()
        (g,) = torch.autograd.grad(f, a, create_graph=True)
        rows = [torch.autograd.grad(g, a, s, retain_graph=s is not v[-1])[0] for s in v]
        return assemble(torch.stack(rows).numpy())

    return run


def with_autograd(x):
    import autograd

    anp = peers.autograd_numpy()
    assemble, v = compressed(x.size), seeds(x.size)

    def f(x):
        return anp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    pull = autograd.make_vjp(autograd.grad(f))

    def run():
        vjp, _ = pull(x)
        return assemble(np.stack([vjp(s) for s in v]))

    return run


def with_casadi(x):
    import casadi as ca
    import scipy.sparse

    n = x.size
    s = ca.SX.sym("x", n)
    f = ca.sum1(100 * (s[1:] - s[:-1] ** 2) ** 2 + (1 - s[:-1]) ** 2)
    h = ca.hessian(f, s)[0]
    run = peers.casadi_run(ca.Function("h", [s], [h]), x)
    # compressed columns of a symmetric matrix are its compressed rows
    pointers, rows = (np.array(part, dtype=np.int32) for part in h.sparsity().get_ccs())
    return lambda: scipy.sparse.csr_array((run()[0], rows, pointers), shape=(n, n))


def by_numba(x):
    import scipy.sparse

    from .compiled.rosenbrock import fill

    columns, pointers, _ = pattern(x.size)
    shape = (x.size, x.size)
    return lambda: scipy.sparse.csr_array((fill(x), columns, pointers), shape=shape)


PROBLEM = Problem(
    name="rosenbrock",
    what="sparse Hessian (CSR) of the chained Rosenbrock function",
    sizes=SIZES,
    small=("1e3",),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numba": by_numba,
    },
    reference=reference,
    modules={"": ("scipy.sparse",)},
)
