"""ode: two coupled, damped, stiffening springs; the gradient through up to a million steps."""

import numpy as np

from .. import peers
from ..problem import Problem

SPAN = 10.0
SIZES = {"1e3": 1000, "1e4": 10_000, "1e5": 100_000, "1e6": 1_000_000}


def make(steps):
    start = np.array([1.0, -0.5, 0.2, 0.3])
    springs = np.array([1.0, 0.7, 0.4, 0.05])  # stiffness, coupling, cubic part, damping
    return start, springs, steps


def forces(a, b, u, v, springs):
    k, c, s, d = springs
    pull = c * (b - a)
    return pull - a * (k + s * a * a) - d * u, -pull - b * (k + s * b * b) - d * v


def step(state, springs, h):
    """Semi-implicit Euler."""
    a, b, u, v = state
    f, g = forces(a, b, u, v, springs)
    u, v = u + h * f, v + h * g
    return a + h * u, b + h * v, u, v


def energy(state):
    a, b, u, v = state
    return a * a + b * b + u * u + 2 * v * v


def primal(start, springs, steps):
    """The plain loop; the jittape variant scans the same step, so as not to unroll it."""
    state = tuple(start)
    for _ in range(steps):
        state = step(state, springs, SPAN / steps)
    return energy(state)


def reference(start, springs, steps):
    """Tangents of all eight numbers carried along with the solution, in plain NumPy."""
    h = SPAN / steps
    a, b, u, v = (float(x) for x in start)
    k, c, s, d = (float(x) for x in springs)
    da, db, du, dv = np.eye(8)[:4]
    dk, dc, ds, dd = np.eye(8)[4:]
    for _ in range(steps):
        pull, dpull = c * (b - a), dc * (b - a) + c * (db - da)
        f = pull - a * (k + s * a * a) - d * u
        df = dpull - da * (k + 3 * s * a * a) - a * dk - a**3 * ds - d * du - u * dd
        g = -pull - b * (k + s * b * b) - d * v
        dg = -dpull - db * (k + 3 * s * b * b) - b * dk - b**3 * ds - d * dv - v * dd
        u, v, du, dv = u + h * f, v + h * g, du + h * df, dv + h * dg
        a, b, da, db = a + h * u, b + h * v, da + h * du, db + h * dv
    g = 2 * (a * da + b * db + u * du) + 4 * v * dv
    return g[:4], g[4:]


def with_jittape(start, springs, steps):
    import jittape

    def final(start, springs):
        def body(state, _):
            return step(state, springs, SPAN / steps), None

        state, _ = jittape.scan(body, tuple(start), None, length=steps)
        return energy(state)

    g = jittape.grad(final, argnums=(0, 1))
    return lambda: g(start, springs)


def with_jax(start, springs, steps):
    jax, _ = peers.jax_modules()

    def final(start, springs):
        parts = tuple(springs)

        def body(state, _):
            return step(state, parts, SPAN / steps), None

        state, _ = jax.lax.scan(body, tuple(start), None, length=steps)
        return energy(state)

    return peers.jax_run(jax.grad(final, argnums=(0, 1)), start, springs)


def with_torch(start, springs, steps):
    h = SPAN / steps

    def final(start, springs):
        k, c, s, d = springs.unbind(0)
        x, v = start[:2], start[2:]
        for _ in range(steps):
            v = v + h * (c * (x.flip(0) - x) - x * (k + s * x * x) - d * v)
            x = x + h * v
        return (x * x).sum() + (v * v).sum() + v[1] * v[1]

    return peers.torch_run(final, [peers.torch_leaf(start), peers.torch_leaf(springs)])


def with_autograd(start, springs, steps):
    import autograd

    anp = peers.autograd_numpy()
    h, swap = SPAN / steps, np.array([[-1.0, 1.0], [1.0, -1.0]])

    def final(start, springs):
        k, c, s, d = springs[0], springs[1], springs[2], springs[3]
        x, v = start[:2], start[2:]
        for _ in range(steps):
            v = v + h * (c * anp.dot(swap, x) - x * (k + s * x * x) - d * v)
            x = x + h * v
        return anp.sum(x * x) + anp.sum(v * v) + v[1] * v[1]

    g = autograd.grad(final, argnum=(0, 1))
    return lambda: g(start, springs)


def with_casadi(start, springs, steps):
    """A scalar graph of fifty steps, so that calls cost little, repeated by CasADi's fold."""
    import casadi as ca

    x, p = ca.SX.sym("x", 4), ca.SX.sym("p", 4)
    together, after, parts = 50, tuple(ca.vertsplit(x)), ca.vertsplit(p)
    for _ in range(together):
        after = step(after, parts, SPAN / steps)
    some = ca.Function("some", [ca.vertcat(x, p)], [ca.vertcat(*after, p)])
    xm, pm = ca.MX.sym("x", 4), ca.MX.sym("p", 4)
    end = some.fold(steps // together)(ca.vertcat(xm, pm))
    f = energy(ca.vertsplit(end[:4]))
    g = ca.Function("g", [xm, pm], [ca.densify(ca.gradient(f, z)) for z in (xm, pm)])
    return peers.casadi_run(g, start, springs)


def by_numba(start, springs, steps):
    from .compiled.ode import adjoint

    return lambda: adjoint(start, springs, steps, SPAN / steps)


PROBLEM = Problem(
    name="ode",
    what="gradient through a scan of a 4-state ODE, by start and parameters",
    sizes=SIZES,
    small=("1e3",),
    full=("1e4", "1e6"),
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
    axis="steps",
    unit="step",
    units={label: float(n) for label, n in SIZES.items()},
)
