"""dense: the Jacobian of a dense program from 50 numbers to 50."""

import numpy as np

from .. import peers
from ..problem import Problem


def make(n):
    r = np.random.default_rng(0)
    return r.normal(size=n), r.normal(size=(n, n)) / n**0.5, r.normal(size=(n, n)) / n**0.5


def primal(x, a, b):
    h = np.tanh(a @ x)
    return np.sin(b @ (h * x)) + x * np.exp(-(h**2))


def reference(x, a, b):
    columns = np.empty((x.size, x.size))
    for j in range(x.size):
        z = x.astype(complex)
        z[j] += 1e-100j
        columns[:, j] = primal(z, a, b).imag / 1e-100
    return columns


def with_jittape(x, a, b):
    import jittape

    jacobian = jittape.jacobian(primal)
    return lambda: jacobian(x, a, b)


def with_jax(x, a, b, transform):
    jax, jnp = peers.jax_modules()

    def program(x, a, b):
        h = jnp.tanh(a @ x)
        return jnp.sin(b @ (h * x)) + x * jnp.exp(-(h**2))

    return peers.jax_run(getattr(jax, transform)(program), x, a, b)


def with_torch(x, a, b, transform):
    import torch

    at, bt = torch.tensor(a), torch.tensor(b)

    def program(x):
        h = torch.tanh(at @ x)
        return torch.sin(bt @ (h * x)) + x * torch.exp(-(h**2))

    jacobian, xt = getattr(torch.func, transform)(program), torch.tensor(x)
    return lambda: jacobian(xt)


def with_autograd(x, a, b):
    import autograd

    anp = peers.autograd_numpy()

    def program(x):
        h = anp.tanh(anp.dot(a, x))
        return anp.sin(anp.dot(b, h * x)) + x * anp.exp(-(h**2))

    jacobian = autograd.jacobian(program)
    return lambda: jacobian(x)


def with_casadi(x, a, b):
    import casadi as ca

    s = ca.MX.sym("x", x.size)
    h = ca.tanh(ca.DM(a) @ s)
    f = ca.sin(ca.DM(b) @ (h * s)) + s * ca.exp(-(h * h))
    # transposed, since CasADi stores columns
    run = peers.casadi_run(ca.Function("j", [s], [ca.densify(ca.jacobian(f, s)).T]), x)
    return lambda: run()[0]


def by_hand(x, a, b):
    def run():
        h = np.tanh(a @ x)
        e = np.exp(-(h * h))
        dh = (1 - h * h)[:, None] * a
        out = b @ (dh * x[:, None])
        out += b * h
        out *= np.cos(b @ (h * x))[:, None]
        dh *= (-2 * x * h * e)[:, None]
        out += dh
        out.flat[:: x.size + 1] += e
        return out

    return run


PROBLEM = Problem(
    name="dense",
    what="Jacobian of a dense program, n to n",
    sizes={"50": 50, "200": 200},
    small=("50",),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax jacfwd": lambda *inputs: with_jax(*inputs, transform="jacfwd"),
        "jax jacrev": lambda *inputs: with_jax(*inputs, transform="jacrev"),
        "torch jacfwd": lambda *inputs: with_torch(*inputs, transform="jacfwd"),
        "torch jacrev": lambda *inputs: with_torch(*inputs, transform="jacrev"),
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numpy": by_hand,
    },
    reference=reference,
)
