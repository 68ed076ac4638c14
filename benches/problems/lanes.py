"""lanes: the gradient of a scalar function of about a hundred ops, on many lanes at once."""

import numpy as np

from .. import peers
from ..problem import Problem

TURNS = 14  # of seven ops each, and two


def make(n):
    return (np.random.default_rng(0).uniform(-1, 1, size=n),)


def scalar(x):
    y = x
    for _ in range(TURNS):
        y = y + 0.1 * (np.tanh(x * y) - 0.5 * y * y)
    return y * y + x


def primal(x):
    """The scalar function on each lane; NumPy broadcasts it."""
    return scalar(x)


def formula(tanh, x):
    y = x
    for _ in range(TURNS):
        y = y + 0.1 * (tanh(x * y) - 0.5 * y * y)
    return y * y + x


def reference(x):
    return scalar(x + 1e-100j).imag / 1e-100


def with_jittape(x):
    import jittape

    g = jittape.vmap(jittape.grad(scalar))
    return lambda: g(x)


def with_jax(x):
    jax, jnp = peers.jax_modules()
    return peers.jax_run(jax.vmap(jax.grad(lambda x: formula(jnp.tanh, x))), x)


def with_torch(x, compiled=False):
    """The lanes are independent, so the gradient of their sum holds every lane's."""
    import torch

    return peers.torch_run(lambda x: formula(torch.tanh, x).sum(), [peers.torch_leaf(x)], compiled)


def with_autograd(x):
    import autograd

    anp = peers.autograd_numpy()
    g = autograd.elementwise_grad(lambda x: formula(anp.tanh, x))
    return lambda: g(x)


def with_casadi(x):
    import casadi as ca

    s = ca.SX.sym("x")
    lane = ca.Function("lane", [s], [ca.gradient(formula(ca.tanh, s), s)])
    return peers.casadi_run(lane.map(x.size), x)


def by_numba(x):
    from .compiled.lanes import tangent

    return lambda: tangent(x, TURNS)


PROBLEM = Problem(
    name="lanes",
    what="vmap of the gradient of a scalar function of 100 ops",
    sizes={"1e3": 1000, "1e4": 10_000, "1e5": 100_000},
    small=("1e3",),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "torch compile": lambda x: with_torch(x, compiled=True),
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numba": by_numba,
    },
    reference=reference,
    axis="lanes",
    unit="lane",
    units={"1e3": 1e3, "1e4": 1e4, "1e5": 1e5},
)
