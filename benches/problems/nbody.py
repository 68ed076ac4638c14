"""nbody: three bodies in the plane, leapfrog in a Python loop over scalars."""

import numpy as np

from .. import peers
from ..problem import Problem, complex_step

MASS = (1.0, 0.8, 0.6)
SOFT = 0.1
STEP = 0.005
START = (0.0, 0.0, 1.0, 0.1, -0.4, 1.2, 0.1, -0.2, -0.3, 0.7, 0.4, -0.3)
TARGET = (0.2, 0.1, 0.5, 0.9, -0.6, 0.7)
PAIRS = ((0, 1), (0, 2), (1, 2))


def make(steps):
    return np.array(START), steps


def pull(ax, ay, bx, by):
    """Separation of two bodies over its softened cube."""
    dx, dy = bx - ax, by - ay
    r2 = dx * dx + dy * dy + SOFT
    w = 1.0 / (r2 * np.sqrt(r2))
    return dx * w, dy * w


def primal(s, steps):
    ax, ay, bx, by, cx, cy, au, av, bu, bv, cu, cv = s
    ma, mb, mc = MASS
    half = 0.5 * STEP
    for _ in range(steps):
        ax, ay = ax + half * au, ay + half * av
        bx, by = bx + half * bu, by + half * bv
        cx, cy = cx + half * cu, cy + half * cv
        abx, aby = pull(ax, ay, bx, by)
        acx, acy = pull(ax, ay, cx, cy)
        bcx, bcy = pull(bx, by, cx, cy)
        au, av = au + STEP * (mb * abx + mc * acx), av + STEP * (mb * aby + mc * acy)
        bu, bv = bu + STEP * (mc * bcx - ma * abx), bv + STEP * (mc * bcy - ma * aby)
        cu, cv = cu - STEP * (ma * acx + mb * bcx), cv - STEP * (ma * acy + mb * bcy)
        ax, ay = ax + half * au, ay + half * av
        bx, by = bx + half * bu, by + half * bv
        cx, cy = cx + half * cu, cy + half * cv
    end = (ax, ay, bx, by, cx, cy)
    return sum((e - t) ** 2 for e, t in zip(end, TARGET, strict=True))


def reference(s, steps):
    return complex_step(lambda z: primal(z, steps), s)


def with_jittape(s, steps):
    import jittape

    g = jittape.grad(primal)
    return lambda: g(s, steps)


def advance(sqrt, state):
    """One step on a tuple of twelve scalars, for the libraries with their own sqrt."""
    x, v = list(state[:6]), list(state[6:])
    x = [p + 0.5 * STEP * u for p, u in zip(x, v, strict=True)]
    kick = [[], [], [], [], [], []]
    for i, j in PAIRS:
        dx, dy = x[2 * j] - x[2 * i], x[2 * j + 1] - x[2 * i + 1]
        r2 = dx * dx + dy * dy + SOFT
        w = STEP / (r2 * sqrt(r2))
        for axis, d in ((0, dx * w), (1, dy * w)):
            kick[2 * i + axis].append(MASS[j] * d)
            kick[2 * j + axis].append(-MASS[i] * d)
    v = [u + (k[0] + k[1]) for u, k in zip(v, kick, strict=True)]
    x = [p + 0.5 * STEP * u for p, u in zip(x, v, strict=True)]
    return (*x, *v)


def distance(state):
    return sum((state[i] - t) ** 2 for i, t in enumerate(TARGET))


def with_jax(s, steps, scan):
    jax, jnp = peers.jax_modules()
    step, first, last = array_step(jnp)

    def final(s):
        carry = (first(s[:6]), first(s[6:]))
        if scan:
            carry, _ = jax.lax.scan(lambda c, _: (step(*c), None), carry, None, length=steps)
        else:
            for _ in range(steps):
                carry = step(*carry)
        return last(carry[0])

    return peers.jax_run(jax.grad(final), s)


def with_jax_scalars(s, steps):
    """The user's own scalar program under jit: what unrolled code costs XLA at its worst."""
    jax, jnp = peers.jax_modules()

    def final(s):
        state = tuple(s[i] for i in range(12))
        for _ in range(steps):
            state = advance(jnp.sqrt, state)
        return distance(state)

    return peers.jax_run(jax.grad(final), s)


def array_step(xp, const=np.asarray):
    """The step on (2, 3) arrays: all pairs at once, which suits the array libraries better."""
    difference, kick = np.zeros((3, 3)), np.zeros((3, 3))
    for p, (i, j) in enumerate(PAIRS):
        difference[i, p], difference[j, p] = -1.0, 1.0
        kick[p, i], kick[p, j] = STEP * MASS[j], -STEP * MASS[i]
    difference, kick = const(difference), const(kick)
    target = const(np.array(TARGET).reshape(3, 2).T.copy())

    def step(x, v):
        x = x + 0.5 * STEP * v
        d = xp.matmul(x, difference)
        r2 = (d * d).sum(0) + SOFT
        v = v + xp.matmul(d / (r2 * xp.sqrt(r2)), kick)
        return x + 0.5 * STEP * v, v

    return step, lambda part: part.reshape(3, 2).T, lambda x: ((x - target) ** 2).sum()


def with_torch(s, steps):
    import torch

    step, first, last = array_step(torch, torch.tensor)

    def final(s):
        x, v = first(s[:6]), first(s[6:])
        for _ in range(steps):
            x, v = step(x, v)
        return last(x)

    return peers.torch_run(final, [peers.torch_leaf(s)])


def with_autograd(s, steps):
    import autograd

    anp = peers.autograd_numpy()
    step, _, last = array_step(anp)

    def final(s):
        x, v = anp.reshape(s[:6], (3, 2)).T, anp.reshape(s[6:], (3, 2)).T
        for _ in range(steps):
            x, v = step(x, v)
        return last(x)

    g = autograd.grad(final)
    return lambda: g(s)


def with_casadi(s, steps):
    """Scalar graph, unrolled: CasADi's virtual machine runs it without compiling."""
    import casadi as ca

    x = ca.SX.sym("s", 12)
    state = tuple(ca.vertsplit(x))
    for _ in range(steps):
        state = advance(ca.sqrt, state)
    return peers.casadi_run(ca.Function("g", [x], [ca.gradient(distance(state), x)]), s)


def with_casadi_fold(s, steps):
    """One step as a scalar function, repeated by a call node with its own derivative."""
    import casadi as ca

    x = ca.SX.sym("s", 12)
    step = ca.Function("step", [x], [ca.vertcat(*advance(ca.sqrt, ca.vertsplit(x)))])
    m = ca.MX.sym("s", 12)
    end = step.fold(steps)(m)
    f = ca.sumsqr(end[:6] - ca.DM(TARGET))
    return peers.casadi_run(ca.Function("g", [m], [ca.gradient(f, m)]), s)


def by_numba(s, steps):
    from .compiled.nbody import adjoint

    target, mass = np.array(TARGET), np.array(MASS)
    return lambda: adjoint(s, steps, target, mass, SOFT, STEP)


PROBLEM = Problem(
    name="nbody",
    what="gradient of three bodies' final squared distance to a target, by 12 initial numbers",
    sizes={"10": 10, "100": 100, "1000": 1000},
    small=("10", "100"),
    full=("100", "1000"),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax unrolled": lambda s, steps: with_jax(s, steps, scan=False),
        "jax scan": lambda s, steps: with_jax(s, steps, scan=True),
        "jax scalars": with_jax_scalars,
        "torch": with_torch,
        "autograd": with_autograd,
        "casadi": with_casadi,
        "casadi fold": with_casadi_fold,
        "hand numba": by_numba,
    },
    reference=reference,
    axis="steps",
    unit="scalar op of the primal",
    units={str(n): 87.0 * n for n in (10, 100, 1000)},
)
