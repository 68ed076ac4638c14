"""rnn: backpropagation through time of a recurrent network that reads one long sequence."""

import numpy as np

from .. import peers
from ..problem import Problem

# (steps, hidden, inputs, sequences at once)
SIZES = {"100,8": (100, 8, 4, 1), "1000,64": (1000, 64, 32, 1), "500,64x16": (500, 64, 32, 16)}


def make(size):
    steps, hidden, width, batch = size
    rng = np.random.default_rng(0)
    weights = (
        rng.normal(size=(hidden, hidden)) / np.sqrt(hidden),
        rng.normal(size=(width, hidden)) / np.sqrt(width),
        rng.normal(size=hidden),
        rng.normal(size=hidden) / np.sqrt(hidden),
    )
    shape = (batch,) if batch > 1 else ()
    return weights, rng.normal(size=(steps, *shape, width)), rng.normal(size=(steps, *shape))


def step(weights, h, x, np=np):
    w, u, b, v = weights
    h = np.tanh(h @ w + x @ u + b)
    return h, h @ v


def start(weights, xs):
    return np.zeros((*xs.shape[1:-1], weights[0].shape[0]))


def primal(weights, xs, targets):
    """The plain loop; the jittape variant scans the same step."""
    h, loss = start(weights, xs), 0.0
    for x, target in zip(xs, targets, strict=True):
        h, y = step(weights, h, x)
        loss = loss + np.sum((y - target) ** 2)
    return loss


def reference(weights, xs, targets):
    """Backpropagation through time, by hand."""
    w, u, b, v = weights
    hs = [start(weights, xs)]
    for x in xs:
        hs.append(step(weights, hs[-1], x)[0])
    gw, gu, gb, gv = (np.zeros(a.shape) for a in weights)
    gh = np.zeros(hs[0].shape)
    for x, target, before, h in zip(xs[::-1], targets[::-1], hs[-2::-1], hs[:0:-1], strict=True):
        gy = 2 * (h @ v - target)
        gv += np.tensordot(gy, h, gy.ndim)
        gz = (gh + np.multiply.outer(gy, v)) * (1 - h * h)
        rows, one = gz.reshape(-1, len(v)), before.reshape(-1, len(v))
        gw += one.T @ rows
        gu += x.reshape(len(one), -1).T @ rows
        gb += rows.sum(axis=0)
        gh = gz @ w.T
    return gw, gu, gb, gv


def with_jittape(weights, xs, targets):
    import jittape

    def loss(weights):
        def body(h, x):
            return step(weights, h, x)

        _, ys = jittape.scan(body, start(weights, xs), xs)
        return np.sum((ys - targets) ** 2)

    g = jittape.grad(loss)
    return lambda: g(weights)


def with_jax(weights, xs, targets):
    jax, jnp = peers.jax_modules()
    h = start(weights, xs)

    def loss(weights):
        _, ys = jax.lax.scan(lambda h, x: step(weights, h, x, jnp), h, xs)
        return jnp.sum((ys - targets) ** 2)

    return peers.jax_run(jax.grad(loss), weights)


def with_torch(weights, xs, targets):
    import torch

    inputs, wanted = torch.from_numpy(xs), torch.from_numpy(targets)

    def loss(*weights):
        h, ys = torch.from_numpy(start(weights, xs)), []
        for x in inputs:
            h, y = step(weights, h, x, torch)
            ys.append(y)
        return ((torch.stack(ys) - wanted) ** 2).sum()

    return peers.torch_run(loss, [peers.torch_leaf(w) for w in weights])


PROBLEM = Problem(
    name="rnn",
    what="backpropagation through time: a scan of a recurrent network",
    sizes=SIZES,
    small=("100,8",),
    make=make,
    primal=primal,
    variants={"jittape": with_jittape, "jax": with_jax, "torch": with_torch},
    reference=reference,
    measure=lambda size: float(size[0]),
    axis="steps",
    unit="step",
    units={label: float(size[0]) for label, size in SIZES.items()},
)
