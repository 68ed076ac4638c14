"""lse: log-sum-exp from primitives; two passes over memory and little else."""

import math

import numpy as np

from .. import peers
from ..problem import Problem

SIZES = {str(2500 * 2**k): k for k in range(10)}


def make(k):
    np.random.seed(31337)
    return (np.random.rand(2500 * 2**k),)


def primal(x):
    top = np.max(x)
    return top + np.log(np.sum(np.exp(x - top)))


def reference(x):
    e = np.exp(x - x.max())
    return e / math.fsum(e)


def with_jittape(x):
    import jittape

    g = jittape.grad(primal)
    return lambda: g(x)


def with_jax(x):
    jax, jnp = peers.jax_modules()

    def lse(x):
        top = jnp.max(x)
        return top + jnp.log(jnp.sum(jnp.exp(x - top)))

    return peers.jax_run(jax.grad(lse), x)


def with_torch(x, compiled=False):
    import torch

    def lse(x):
        top = x.max()
        return top + torch.log(torch.exp(x - top).sum())

    return peers.torch_run(lse, [peers.torch_leaf(x)], compiled)


def with_autograd(x):
    import autograd

    anp = peers.autograd_numpy()

    def lse(x):
        top = anp.max(x)
        return top + anp.log(anp.sum(anp.exp(x - top)))

    g = autograd.grad(lse)
    return lambda: g(x)


def with_casadi(x):
    import casadi as ca

    s = ca.MX.sym("x", x.size)
    top = ca.mmax(s)
    f = top + ca.log(ca.sum1(ca.exp(s - top)))
    return peers.casadi_run(ca.Function("g", [s], [ca.gradient(f, s)]), x)


def by_numpy(x):
    def run():
        g = x - x.max()
        np.exp(g, out=g)
        g *= 1.0 / g.sum()
        return g

    return run


def by_numba(x):
    from .compiled.lse import loops

    return lambda: loops(x)


PROBLEM = Problem(
    name="lse",
    what="gradient of max x + log sum exp(x - max x)",
    sizes=SIZES,
    small=("2500", "20000"),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "torch compile": lambda x: with_torch(x, compiled=True),
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numpy": by_numpy,
        "hand numba": by_numba,
    },
    reference=reference,
    measure=lambda k: 2500.0 * 2**k,
    unit="element",
    units={label: float(label) for label in SIZES},
)
