"""gmm: log posterior of a Gaussian mixture, by alpha, mu, q and l."""

import math

import numpy as np

from .. import peers
from ..problem import Known, Problem

N = 1000
GAMMA = 1.0
SIZES = {"2,5": (2, 5), "10,25": (10, 25), "20,50": (20, 50), "64,25": (64, 25)}


def make(size):
    d, k = size
    r = np.random.default_rng(31337)
    x = np.array([r.normal(size=d) for _ in range(N)])
    alpha = r.normal(size=k)
    mu = np.array([r.uniform(size=d) for _ in range(k)])
    q = np.array([r.normal(size=d) for _ in range(k)])
    tri = np.array([r.normal(size=d * (d - 1) // 2) for _ in range(k)])
    return alpha, mu, q, tri, x, places(d), constant(d, k)


def places(d):
    """Entry (i, j) of Q's strict lower triangle is l[places - 1], column by column; else 0."""
    where = np.zeros((d, d), dtype=np.int64)
    columns, rows = np.triu_indices(d, 1)  # row-wise upper = column-wise lower
    where[rows, columns] = np.arange(1, rows.size + 1)
    return where


def constant(d, k):
    n = d + 1
    log_gamma = d * (d - 1) / 4 * math.log(math.pi)
    log_gamma += sum(math.lgamma(n / 2 + (1 - j) / 2) for j in range(1, d + 1))
    wishart = n * d * (math.log(GAMMA) - 0.5 * math.log(2)) - log_gamma
    return k * wishart - N * d / 2 * math.log(2 * math.pi)


def primal(alpha, mu, q, tri, x, where, const):
    k, d = mu.shape
    padded = np.concatenate([np.zeros((k, 1)), tri], axis=1)
    Q = padded[:, where] + np.exp(q)[:, :, None] * np.eye(d)
    shift = np.sum(Q * mu[:, None, :], axis=2)
    z = (x @ Q.reshape(k * d, d).T).reshape(len(x), k, d) - shift
    beta = alpha + np.sum(q, axis=1) - 0.5 * np.sum(z**2, axis=2)
    top = np.max(beta, axis=1)
    data = np.sum(top + np.log(np.sum(np.exp(beta - top[:, None]), axis=1)))
    top_alpha = np.max(alpha)
    lse_alpha = top_alpha + np.log(np.sum(np.exp(alpha - top_alpha)))
    prior = 0.5 * GAMMA**2 * (np.sum(np.exp(q) ** 2) + np.sum(tri**2))
    return const - len(x) * lse_alpha + data - prior


def reference(alpha, mu, q, tri, x, where, const):
    """Written per component from the formulas, with responsibilities from a plain softmax."""
    k, d = mu.shape
    columns, rows = np.triu_indices(d, 1)
    beta = np.empty((len(x), k))
    factors, scaled = [], []
    for j in range(k):
        Q = np.diag(np.exp(q[j]))
        Q[rows, columns] = tri[j]
        z = (x - mu[j]) @ Q.T
        beta[:, j] = alpha[j] + q[j].sum() - 0.5 * (z**2).sum(axis=1)
        factors.append(Q)
        scaled.append(z)
    r = np.exp(beta - beta.max(axis=1)[:, None])
    r /= r.sum(axis=1)[:, None]
    prior = np.exp(alpha - alpha.max())
    d_alpha = r.sum(axis=0) - len(x) * prior / prior.sum()
    d_mu, d_q, d_tri = np.empty_like(mu), np.empty_like(q), np.empty_like(tri)
    for j in range(k):
        rz = r[:, j, None] * scaled[j]
        d_mu[j] = factors[j].T @ rz.sum(axis=0)
        d_Q = -rz.T @ (x - mu[j])
        e = np.exp(q[j])
        d_q[j] = np.diag(d_Q) * e + r[:, j].sum() - GAMMA**2 * e**2
        d_tri[j] = d_Q[rows, columns] - GAMMA**2 * tri[j]
    return d_alpha, d_mu, d_q, d_tri


def with_jittape(*inputs):
    import jittape

    g = jittape.grad(primal, argnums=(0, 1, 2, 3))
    return lambda: g(*inputs)


def with_jax(alpha, mu, q, tri, x, where, const):
    jax, jnp = peers.jax_modules()
    k, d = mu.shape
    columns, rows = np.triu_indices(d, 1)
    diag = np.arange(d)

    def posterior(alpha, mu, q, tri, x):
        Q = jnp.zeros((k, d, d)).at[:, diag, diag].set(jnp.exp(q)).at[:, rows, columns].set(tri)
        shift = jnp.einsum("kij,kj->ki", Q, mu)
        z = (x @ Q.reshape(k * d, d).T).reshape(-1, k, d) - shift
        beta = alpha + q.sum(axis=1) - 0.5 * jnp.sum(z * z, axis=2)
        data = jnp.sum(jax.scipy.special.logsumexp(beta, axis=1))
        prior = 0.5 * GAMMA**2 * (jnp.sum(jnp.exp(2 * q)) + jnp.sum(tri * tri))
        return const - len(x) * jax.scipy.special.logsumexp(alpha) + data - prior

    return peers.jax_run(jax.grad(posterior, argnums=(0, 1, 2, 3)), alpha, mu, q, tri, x)


def with_torch(alpha, mu, q, tri, x, where, const, compiled=False):
    import torch

    k, d = mu.shape
    columns, rows = (torch.tensor(a) for a in np.triu_indices(d, 1))
    xt = torch.tensor(x)

    def posterior(alpha, mu, q, tri):
        Q = torch.diag_embed(torch.exp(q)).index_put(
            (torch.arange(k)[:, None], rows[None], columns[None]), tri
        )
        shift = torch.einsum("kij,kj->ki", Q, mu)
        z = (xt @ Q.reshape(k * d, d).T).reshape(-1, k, d) - shift
        beta = alpha + q.sum(1) - 0.5 * z.square().sum(2)
        data = torch.logsumexp(beta, 1).sum()
        prior = 0.5 * GAMMA**2 * (torch.exp(2 * q).sum() + tri.square().sum())
        return const - len(xt) * torch.logsumexp(alpha, 0) + data - prior

    return peers.torch_run(posterior, [peers.torch_leaf(a) for a in (alpha, mu, q, tri)], compiled)


def with_autograd(alpha, mu, q, tri, x, where, const):
    import autograd

    anp = peers.autograd_numpy()
    k, d = mu.shape
    eye = np.eye(d)
    # autograd's gather has a slow adjoint (np.add.at), so l is spread by a product instead
    spread = (where.ravel()[None] == np.arange(1, tri.shape[1] + 1)[:, None]).astype(float)
    gather = d <= 20  # beyond, the product's d^4 / 2 entries cost more than the slow adjoint

    def posterior(alpha, mu, q, tri):
        if gather:
            lower = anp.dot(tri, spread).reshape((k, d, d))
        else:
            padded = anp.concatenate([np.zeros((k, 1)), tri], axis=1)
            lower = padded[:, where]
        Q = lower + anp.exp(q)[:, :, None] * eye
        shift = anp.sum(Q * mu[:, None, :], axis=2)
        z = anp.dot(x, Q.reshape((k * d, d)).T).reshape((len(x), k, d)) - shift
        beta = alpha + anp.sum(q, axis=1) - 0.5 * anp.sum(z * z, axis=2)
        top = anp.max(beta, axis=1)
        data = anp.sum(top + anp.log(anp.sum(anp.exp(beta - top[:, None]), axis=1)))
        m = anp.max(alpha)
        lse = m + anp.log(anp.sum(anp.exp(alpha - m)))
        prior = 0.5 * GAMMA**2 * (anp.sum(anp.exp(2 * q)) + anp.sum(tri * tri))
        return const - len(x) * lse + data - prior

    g = autograd.grad(posterior, argnum=(0, 1, 2, 3))
    return lambda: g(alpha, mu, q, tri)


def with_casadi(alpha, mu, q, tri, x, where, const):
    """Matrix graph; Q has the sparse pattern of a lower triangle, whose column order is l's."""
    import casadi as ca

    k, d = mu.shape
    a, m = ca.MX.sym("alpha", k), ca.MX.sym("mu", d, k)
    qs, ts = ca.MX.sym("q", d, k), ca.MX.sym("l", tri.shape[1], k)
    xt, rows = ca.DM(np.ascontiguousarray(x.T)), []
    for j in range(k):
        parts, start = [], 0
        for i in range(d):
            parts += [ca.exp(qs[i, j]), ts[start : start + d - 1 - i, j]]
            start += d - 1 - i
        Q = ca.MX(ca.Sparsity.lower(d), ca.vertcat(*parts))
        z = Q @ xt - ca.repmat(Q @ m[:, j], 1, len(x))
        rows.append(a[j] + ca.sum1(qs[:, j]) - 0.5 * ca.sum1(z * z))
    top = rows[0]
    for row in rows[1:]:
        top = ca.fmax(top, row)
    data = ca.sum2(top + ca.log(sum(ca.exp(row - top) for row in rows)))
    prior = 0.5 * GAMMA**2 * (ca.sumsqr(ca.exp(qs)) + ca.sumsqr(ts))
    f = const - len(x) * ca.logsumexp(a) + data - prior
    symbols = [a, m, qs, ts]
    g = ca.Function("g", symbols, [ca.densify(ca.gradient(f, s)) for s in symbols])
    return peers.casadi_run(g, alpha, mu, q, tri)


def by_hand(alpha, mu, q, tri, x, where, const):
    """Three matrix products; the rest in place."""
    k, d = mu.shape
    n = len(x)
    columns, rows = np.triu_indices(d, 1)
    diag = np.arange(d)

    def run():
        e = np.exp(q)
        Q = np.zeros((k, d, d))
        Q[:, diag, diag] = e
        Q[:, rows, columns] = tri
        z = (x @ Q.reshape(k * d, d).T).reshape(n, k, d)
        z -= np.matmul(Q, mu[:, :, None])[:, :, 0]
        r = np.einsum("nkd,nkd->nk", z, z)
        r *= -0.5
        r += alpha + q.sum(axis=1)
        r -= r.max(axis=1, keepdims=True)
        np.exp(r, out=r)
        r *= 1.0 / r.sum(axis=1, keepdims=True)
        z *= r[:, :, None]
        rz = z.sum(axis=0)
        total = r.sum(axis=0)
        d_Q = rz[:, :, None] * mu[:, None, :]
        d_Q -= (z.reshape(n, k * d).T @ x).reshape(k, d, d)
        d_mu = np.matmul(rz[:, None, :], Q)[:, 0]
        d_q = d_Q[:, diag, diag] * e + total[:, None] - GAMMA**2 * e * e
        d_tri = d_Q[:, rows, columns] - GAMMA**2 * tri
        prior = np.exp(alpha - alpha.max())
        return total - prior * (n / prior.sum()), d_mu, d_q, d_tri

    return run


PROBLEM = Problem(
    name="gmm",
    what="gradient of a Gaussian mixture's log posterior, N = 1000, (D, K)",
    sizes=SIZES,
    small=("2,5", "10,25"),
    make=make,
    primal=primal,
    variants={
        "jittape": with_jittape,
        "jax": with_jax,
        "torch": with_torch,
        "torch compile": lambda *inputs: with_torch(*inputs, compiled=True),
        "autograd": with_autograd,
        "casadi": with_casadi,
        "hand numpy": by_hand,
    },
    reference=reference,
    measure=lambda size: float(size[1] * (1 + 2 * size[0] + size[0] * (size[0] - 1) // 2)),
    axis="parameters",
    known={
        "2,5": Known(-3916.4648210544665, 377.6875730591363),
        "10,25": Known(-30857.5336794227, -167.50160747413662),
        "20,50": Known(-118311.77499088456, 4255.8552799477075),
    },
)
