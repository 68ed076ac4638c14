"""call: the sum of x*x over ten elements; what one call costs."""

import numpy as np

from .. import peers
from ..problem import Problem


def make(n):
    return (np.random.default_rng(0).normal(size=n),)


def primal(x):
    return np.sum(x * x)


def with_jittape(x):
    import jittape

    g = jittape.grad(primal)
    return lambda: g(x)


def with_jax(x):
    jax, jnp = peers.jax_modules()
    return peers.jax_run(jax.grad(lambda x: jnp.sum(x * x)), x)


def with_torch(x):
    return peers.torch_run(lambda x: (x * x).sum(), [peers.torch_leaf(x)])


def with_autograd(x):
    import autograd

    anp = peers.autograd_numpy()
    g = autograd.grad(lambda x: anp.sum(x * x))
    return lambda: g(x)


def with_casadi(x):
    import casadi as ca

    s = ca.SX.sym("x", x.size)
    return peers.casadi_run(ca.Function("g", [s], [ca.gradient(ca.sumsqr(s), s)]), x)


def by_hand(x):
    return lambda: x + x


PROBLEM = Problem(
    name="call",
    what="gradient of the sum of x*x, 10 elements: the cost of one call",
    sizes={"10": 10},
    small=("10",),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numpy": by_hand,
    },
    reference=lambda x: 2 * x,
)
