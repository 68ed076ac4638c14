"""chain: one long elementwise expression and its sum, from 100 to 4,000,000 elements."""

import numpy as np

from .. import peers
from ..problem import Problem

SIZES = {"100": 100, "1e4": 10_000, "1e6": 1_000_000, "4e6": 4_000_000}
BLOCK = 1024


def make(n):
    return (np.random.default_rng(0).normal(size=n),)


def primal(x):
    return np.sum(np.tanh(2 * x + 0.5) * np.exp(-(x**2)))


def reference(x):
    t, e = np.tanh(2 * x + 0.5), np.exp(-(x**2))
    return 2 * (1 - t * t) * e - 2 * x * t * e


def primal_trig(x):
    return np.sum(np.sin(3 * x) * np.cos(x) + np.log(1 + x**2))


def reference_trig(x):
    return 3 * np.cos(3 * x) * np.cos(x) - np.sin(3 * x) * np.sin(x) + 2 * x / (1 + x**2)


def expression(xp, x):
    return xp.tanh(2 * x + 0.5) * xp.exp(-(x * x))


def expression_trig(xp, x):
    return xp.sin(3 * x) * xp.cos(x) + xp.log(1 + x * x)


def blocked(x):
    """NumPy by hand: block by block, so that every temporary stays in the cache."""
    t, e = np.empty(BLOCK), np.empty(BLOCK)

    def run():
        g = np.empty_like(x)
        for start in range(0, x.size, BLOCK):
            b = x[start : start + BLOCK]
            u, v, w = t[: b.size], e[: b.size], g[start : start + BLOCK]
            np.multiply(b, 2.0, out=u)
            np.add(u, 0.5, out=u)
            np.tanh(u, out=u)
            np.multiply(b, b, out=v)
            np.negative(v, out=v)
            np.exp(v, out=v)
            np.multiply(u, u, out=w)
            np.subtract(1.0, w, out=w)
            np.multiply(u, b, out=u)
            np.subtract(w, u, out=w)
            np.multiply(w, v, out=w)
            np.multiply(w, 2.0, out=w)
        return g

    return run


def blocked_trig(x):
    """As above, with two sines and two cosines per element instead of four calls of NumPy's."""
    s, c, d = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)

    def run():
        g = np.empty_like(x)
        for start in range(0, x.size, BLOCK):
            b = x[start : start + BLOCK]
            u, v, r, w = s[: b.size], c[: b.size], d[: b.size], g[start : start + BLOCK]
            np.sin(b, out=u)
            np.cos(b, out=v)
            # sin 3x = s (3 - 4 ss), cos 3x = c (4 cc - 3)
            np.multiply(v, v, out=w)
            np.multiply(w, 12.0, out=r)
            np.subtract(r, 9.0, out=r)
            np.multiply(r, w, out=w)
            np.multiply(u, u, out=u)
            np.multiply(u, 4.0, out=r)
            np.subtract(3.0, r, out=r)
            np.multiply(r, u, out=r)
            np.subtract(w, r, out=w)
            np.multiply(b, b, out=r)
            np.add(r, 1.0, out=r)
            np.divide(b, r, out=r)
            np.add(w, r, out=w)
            np.add(w, r, out=w)
        return g

    return run


def by_numba(name):
    def with_numba(x):
        from .compiled import chain

        loop = getattr(chain, name)
        return lambda: loop(x)

    return with_numba


def variants(function, formula, by_blocks, by_loop):
    def with_jittape(x):
        import jittape

        g = jittape.grad(function)
        return lambda: g(x)

    def with_jax(x):
        jax, jnp = peers.jax_modules()
        return peers.jax_run(jax.grad(lambda x: jnp.sum(formula(jnp, x))), x)

    def with_torch(x, compiled=False):
        import torch

        return peers.torch_run(lambda x: formula(torch, x).sum(), [peers.torch_leaf(x)], compiled)

    def with_autograd(x):
        import autograd

        anp = peers.autograd_numpy()
        g = autograd.grad(lambda x: anp.sum(formula(anp, x)))
        return lambda: g(x)

    def with_casadi(x):
        import casadi as ca

        s = ca.MX.sym("x", x.size)
        g = ca.gradient(ca.sum1(formula(ca, s)), s)
        return peers.casadi_run(ca.Function("g", [s], [g]), x)

    return {
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "torch compile": lambda x: with_torch(x, compiled=True),
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numpy": by_blocks,
        "hand numba": by_numba(by_loop),
    }


def problem(name, what, function, closed_form, *forms):
    return Problem(
        name=name,
        what=what,
        sizes=SIZES,
        small=("100", "1e4"),
        make=make,
        primal=function,
        variants=variants(function, *forms),
        reference=closed_form,
        unit="element",
        units={label: float(n) for label, n in SIZES.items()},
    )


PROBLEM = problem(
    "chain",
    "gradient of sum(tanh(2x + 0.5) exp(-x^2))",
    primal,
    reference,
    expression,
    blocked,
    "loop",
)
TRIG = problem(
    "chain_trig",
    "gradient of sum(sin(3x) cos(x) + log(1 + x^2))",
    primal_trig,
    reference_trig,
    expression_trig,
    blocked_trig,
    "loop_trig",
)
