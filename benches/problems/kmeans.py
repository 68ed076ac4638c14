"""kmeans: a Newton step; gradient and Hessian diagonal in one Hessian-vector product with ones."""

import itertools

import numpy as np

from .. import peers
from ..problem import Known, Problem

ORDER = list(itertools.product((10, 100), (1000, 10_000), (8, 16)))
SIZES = {",".join(map(str, size)): size for size in ORDER}


def make(size):
    np.random.seed(31337)
    for k, n, d in ORDER:
        points = np.random.rand(n, d)
        if (k, n, d) == size:
            return points[-k:].copy(), points
    raise ValueError(f"no size {size}")


def primal(centres, points):
    """Squared distances from the products, not from a (n, K, d) array; as for every library."""
    products = points @ centres.T
    squares = np.sum(points**2, axis=1)[:, None] + np.sum(centres**2, axis=1) - 2 * products
    return np.sum(np.min(squares, axis=1))


def reference(centres, points):
    """The step leads to the mean of a centre's points."""
    squares = ((points[:, None, :2] - centres[None, :, :2]) ** 2).sum(axis=2)
    for j in range(2, points.shape[1]):
        squares += (points[:, None, j] - centres[None, :, j]) ** 2
    nearest = squares.argmin(axis=1)
    means = [points[nearest == k].mean(axis=0) for k in range(len(centres))]
    return centres - np.array(means)


def with_jittape(centres, points):
    import jittape

    ones = np.ones_like(centres)

    def newton(centres, points):
        g, h = jittape.jvp(lambda c: jittape.grad(primal)(c, points), (centres,), (ones,))
        return g / h

    step = jittape.jit(newton)
    return lambda: step(centres, points)


def with_jax(centres, points):
    jax, jnp = peers.jax_modules()

    def f(c, points):
        squares = jnp.sum(points**2, 1)[:, None] + jnp.sum(c**2, 1) - 2 * points @ c.T
        return jnp.sum(jnp.min(squares, axis=1))

    def newton(c, points):
        g, h = jax.jvp(lambda c: jax.grad(f)(c, points), (c,), (jnp.ones_like(c),))
        return g / h

    return peers.jax_run(newton, centres, points)


def with_torch(centres, points):
    """Reverse over reverse; the gather of the nearest squares replaces the adjoint of a min."""
    import torch

    c, p = peers.torch_leaf(centres), torch.tensor(points)
    ones, norms = torch.ones_like(c), p.square().sum(1)[:, None]

    def run():
        squares = norms + c.square().sum(1) - 2 * (p @ c.T)
        f = squares.min(1).values.sum()
        (g,) = torch.autograd.grad(f, c, create_graph=True)
        (h,) = torch.autograd.grad(g, c, ones)
        return g.detach() / h

    return run


def with_autograd(centres, points):
    import autograd

    anp = peers.autograd_numpy()
    norms, ones = np.sum(points**2, axis=1)[:, None], np.ones_like(centres)

    def f(c):
        squares = norms + anp.sum(c**2, axis=1) - 2 * anp.dot(points, c.T)
        return anp.sum(anp.min(squares, axis=1))

    pull = autograd.make_vjp(autograd.grad(f))

    def run():
        vjp, g = pull(centres)
        return g / vjp(ones)

    return run


def with_casadi(centres, points):
    """Per point a scalar function of all centres; mapped over the points and summed."""
    import casadi as ca

    (k, d), n = centres.shape, len(points)
    c, p = ca.SX.sym("c", d, k), ca.SX.sym("p", d)
    least = ca.sumsqr(p - c[:, 0])
    for j in range(1, k):
        least = ca.fmin(least, ca.sumsqr(p - c[:, j]))
    g = ca.gradient(least, c)
    h = ca.jtimes(g, c, ca.SX.ones(d, k))
    point = ca.Function("point", [c, p], [ca.densify(g), ca.densify(h)])
    cs, ps = ca.MX.sym("c", d, k), ca.MX.sym("p", d, n)
    total = point.map("sum", "serial", n, [0], [0, 1])(cs, ps)
    return peers.casadi_run(ca.Function("s", [cs, ps], [total[0] / total[1]]), centres, points)


def by_numpy(centres, points):
    rows = np.arange(len(points))

    def run():
        squares = points @ centres.T
        squares *= -2.0
        squares += np.einsum("kd,kd->k", centres, centres)
        mine = np.zeros_like(squares)
        mine[rows, squares.argmin(axis=1)] = 1.0
        return centres - (mine.T @ points) / mine.sum(axis=0)[:, None]

    return run


def by_numba(centres, points):
    from .compiled.kmeans import loops

    return lambda: loops(centres, points, 8)


PROBLEM = Problem(
    name="kmeans",
    what="Newton step of k-means, gradient over Hessian diagonal; (K, n, d)",
    sizes=SIZES,
    small=("10,1000,8",),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numpy": by_numpy,
        "hand numba": by_numba,
    },
    reference=reference,
    measure=lambda size: float(size[0] * size[1] * size[2]),
    axis="K n d",
    known={"10,1000,8": Known(609.3389875892319)},
)
