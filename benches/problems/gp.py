"""gp: log marginal likelihood of a Gaussian process, by Cholesky factor and solves."""

import math

import numpy as np

from .. import peers
from ..problem import Problem, complex_step

DIMENSIONS = 3
SIZES = {"100": 100, "300": 300, "1000": 1000}


def make(n):
    r = np.random.default_rng(0)
    x = r.uniform(-2, 2, size=(n, DIMENSIONS))
    y = np.sin(x.sum(axis=1)) + 0.1 * r.normal(size=n)
    theta = np.log(np.array([1.0, 1.5, 0.8, 1.2, 0.2]))  # length scales, amplitude, noise
    return theta, x, y


def primal(theta, x, y):
    z = x / np.exp(theta[:DIMENSIONS])
    norms = np.sum(z**2, axis=1)
    squares = norms[:, None] + norms - 2 * (z @ z.T)
    k = np.exp(2 * theta[-2] - 0.5 * squares) + np.exp(2 * theta[-1]) * np.eye(len(y))
    factor = np.linalg.cholesky(k)
    a = np.linalg.solve(factor, y)
    logs = np.sum(np.log(np.diag(factor)))
    return -0.5 * np.sum(a**2) - logs - 0.5 * len(y) * math.log(2 * math.pi)


def reference(theta, x, y):
    """Complex step through determinant and plain solve, which stay analytic where the
    conjugating Cholesky factorisation does not."""
    squares = (x[:, None] - x[None]) ** 2

    def f(theta):
        scaled = squares @ np.exp(-2 * theta[:DIMENSIONS])
        k = np.exp(2 * theta[-2] - 0.5 * scaled) + np.exp(2 * theta[-1]) * np.eye(len(y))
        sign, logs = np.linalg.slogdet(k)
        return -0.5 * (y @ np.linalg.solve(k, y)) - 0.5 * (logs + np.log(sign))

    return complex_step(f, theta)


def with_jittape(theta, x, y):
    import jittape

    g = jittape.grad(primal)
    return lambda: g(theta, x, y)


def with_jax(theta, x, y):
    jax, jnp = peers.jax_modules()

    def f(theta, x, y):
        z = x / jnp.exp(theta[:DIMENSIONS])
        norms = jnp.sum(z**2, axis=1)
        squares = norms[:, None] + norms - 2 * (z @ z.T)
        k = jnp.exp(2 * theta[-2] - 0.5 * squares) + jnp.exp(2 * theta[-1]) * jnp.eye(len(y))
        factor = jnp.linalg.cholesky(k)
        a = jax.scipy.linalg.solve_triangular(factor, y, lower=True)
        return -0.5 * a @ a - jnp.sum(jnp.log(jnp.diag(factor)))

    return peers.jax_run(jax.grad(f), theta, x, y)


def with_torch(theta, x, y):
    import torch

    xt, yt, eye = torch.tensor(x), torch.tensor(y)[:, None], torch.eye(len(y)).double()

    def f(theta):
        z = xt / torch.exp(theta[:DIMENSIONS])
        norms = z.square().sum(1)
        squares = norms[:, None] + norms - 2 * (z @ z.T)
        k = torch.exp(2 * theta[-2] - 0.5 * squares) + torch.exp(2 * theta[-1]) * eye
        factor = torch.linalg.cholesky(k)
        a = torch.linalg.solve_triangular(factor, yt, upper=False)
        return -0.5 * a.square().sum() - factor.diagonal().log().sum()

    return peers.torch_run(f, [peers.torch_leaf(theta)])


def with_autograd(theta, x, y):
    import autograd
    import autograd.scipy.linalg as asl

    anp = peers.autograd_numpy()
    eye = np.eye(len(y))

    def f(theta):
        z = x / anp.exp(theta[:DIMENSIONS])
        norms = anp.sum(z**2, axis=1)
        squares = norms[:, None] + norms - 2 * anp.dot(z, z.T)
        k = anp.exp(2 * theta[-2] - 0.5 * squares) + anp.exp(2 * theta[-1]) * eye
        factor = anp.linalg.cholesky(k)
        a = asl.solve_triangular(factor, y, lower=True)
        return -0.5 * anp.sum(a**2) - anp.sum(anp.log(anp.diag(factor)))

    g = autograd.grad(f)
    return lambda: g(theta)


def by_hand(theta, x, y):
    """1/2 sum of (a a' - K^-1) * dK, with LAPACK's inverse from the factor."""
    from scipy.linalg import lapack

    rows = np.arange(len(y))

    def run():
        scale = np.exp(theta)
        z = x / scale[:DIMENSIONS]
        norms = np.einsum("nd,nd->n", z, z)
        k = z @ z.T
        k -= 0.5 * norms
        k -= 0.5 * norms[:, None]
        np.exp(k, out=k)
        k *= scale[-2] ** 2
        noise = scale[-1] ** 2
        full = k.copy()
        full[rows, rows] += noise
        # full is symmetric: its transpose is the Fortran array LAPACK wants, at no cost
        factor, _ = lapack.dpotrf(full.T, lower=1, overwrite_a=1, clean=0)
        a, _ = lapack.dpotrs(factor, y, lower=1)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        diagonal = inverse.diagonal().copy()
        # only the lower half is filled: weigh it by two, and the diagonal by one
        weights = np.tril(inverse, -1)
        weights *= -2.0
        weights[rows, rows] = -diagonal
        weights *= k
        by_row, by_column = weights.sum(axis=1), weights.sum(axis=0)
        ka = k @ a
        trace = a @ a - diagonal.sum()
        g = np.empty(DIMENSIONS + 2)
        g[-2] = a @ ka + by_row.sum()
        g[-1] = noise * trace
        # sum_ij M_ij (z_i - z_j)^2 for M = weights + a a' * k, from row sums and products
        for d in range(DIMENSIONS):
            v = z[:, d]
            outer = a * v
            first = (v * v) @ (by_row + by_column) - 2 * (v @ (weights @ v))
            second = 2 * ((a * v * v) @ ka) - 2 * (outer @ (k @ outer))
            g[d] = 0.5 * (first + second)
        return g

    return run


PROBLEM = Problem(
    name="gp",
    what="gradient of a Gaussian process's log marginal likelihood, by 5 hyperparameters",
    sizes=SIZES,
    small=("100",),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "autograd": with_autograd,
        "hand numpy": by_hand,
    },
    reference=reference,
    modules={"autograd": ("autograd.scipy.linalg",), "hand numpy": ("scipy.linalg",)},
)
