"""Programs as scientists write them: regression, likelihoods, clustering, sorting, sampling."""
# ruff: noqa: E501 (tables)

import math

import numpy as np
import pytest
from sequences import follow

R = np.random.default_rng(1)
X = R.normal(size=(12, 3))
Y = (X @ np.array([1.0, -2.0, 0.5]) > 0).astype(float)
COUNTS = R.poisson(2.0, size=12)
LABELS = R.integers(0, 3, size=12)
Z = R.normal(size=(200,))


def logistic(w, l2=0.1):
    p = 1 / (1 + np.exp(-(X @ w)))
    return -np.mean(Y * np.log(p) + (1 - Y) * np.log(1 - p)) + l2 * w @ w


def stable_logistic(w):
    z = X @ w
    return np.sum(np.logaddexp(0, z) - Y * z)


def poisson(w):
    rate = np.exp(np.clip(X @ w, -5, 5))
    logfact = np.array([math.lgamma(k + 1) for k in COUNTS])
    return np.sum(rate - COUNTS * np.log(rate) + logfact)


def softmax_regression(W):
    logits = X @ W
    logits = logits - logits.max(axis=1, keepdims=True)
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -logp[np.arange(len(LABELS)), LABELS].mean()


def gp(params):
    ell, sf, sn = np.exp(params)
    d2 = ((X[:, None] - X[None]) ** 2).sum(-1)
    K = sf**2 * np.exp(-0.5 * d2 / ell**2) + (sn**2 + 1e-6) * np.eye(len(X))
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, Y))
    return 0.5 * Y @ alpha + np.log(np.diag(L)).sum() + 0.5 * len(Y) * np.log(2 * np.pi)


def gp_slogdet(ell, noise):
    K = np.exp(-np.abs(X[:, 0][:, None] - X[:, 0]) / ell) + noise * np.identity(12)
    sign, logdet = np.linalg.slogdet(K)
    return 0.5 * logdet + 0.5 * np.dot(Y, np.linalg.inv(K).dot(Y))


def kmeans(centers):
    c = centers.reshape(2, 3)
    for _ in range(3):
        d = np.stack([((X - m) ** 2).sum(axis=1) for m in c])
        assign = np.argmin(d, axis=0)
        c = np.array([X[assign == k].mean(axis=0) * 0.5 + 0.5 * c[k] for k in range(2)])
    return np.min(((X[:, None, :] - c[None]) ** 2).sum(-1), axis=1).sum()


def pca_variance(data):
    a = data - data.mean(axis=0)
    cov = a.T @ a / (len(a) - 1)
    w, v = np.linalg.eigh(cov)
    return w[-1] / w.sum() + (v[:, -1] ** 2)[0]


def svd_energy(data):
    u, s, vt = np.linalg.svd(data, full_matrices=False)
    low = (u[:, :1] * s[:1]) @ vt[:1]
    return ((data - low) ** 2).sum() + s[0]


def mixture(means, logstd):
    parts = []
    for m, s in zip(means, logstd):  # noqa: B905
        parts.append(-0.5 * ((Z[:20] - m) / np.exp(s)) ** 2 - s - 0.5 * math.log(2 * math.pi))
    stacked = np.vstack(parts)
    top = stacked.max(axis=0)
    return np.sum(top + np.log(np.mean(np.exp(stacked - top), axis=0)))


def student_t(mu, nu):
    from scipy.special import gammaln

    n = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return np.sum(n - (nu + 1) / 2 * np.log1p((Z[:10] - mu) ** 2 / nu))


def beta_binomial(a, b):
    from scipy.special import betaln, digamma, expit

    return np.sum(betaln(COUNTS + a, 10 - COUNTS + b) - betaln(a, b)) + digamma(a) * expit(b)


def black_scholes(s, k, sigma, t):
    from scipy.special import ndtr

    d1 = (np.log(s / k) + 0.5 * sigma**2 * t) / (sigma * np.sqrt(t))
    return s * ndtr(d1) - k * ndtr(d1 - sigma * np.sqrt(t))


def black_scholes_erf(s, sigma):
    def cdf(x):
        return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))

    d1 = (math.log(s / 1.1) + 0.5 * sigma**2) / sigma
    return s * cdf(d1) - 1.1 * cdf(d1 - sigma)


def monte_carlo_option(s0, sigma):
    noise = np.random.default_rng(42).normal(size=(50, 4))
    paths = s0 * np.exp(np.cumsum(-0.5 * sigma**2 * 0.25 + sigma * 0.5 * noise, axis=1))
    return np.maximum(paths.mean(axis=1) - 1.0, 0).mean()


def heston(v0, kappa, rho):
    noise = np.random.RandomState(0).randn(2, 5, 20)
    x, v = np.zeros(20), np.full(20, v0)
    for z1, z2 in zip(noise[0], noise[1], strict=True):
        vp = np.maximum(v, 0)
        x = x - 0.5 * vp * 0.2 + np.sqrt(vp * 0.2) * z1
        w = rho * z1 + np.sqrt(1 - rho**2) * z2
        v = v + kappa * (0.04 - vp) * 0.2 + 0.3 * np.sqrt(vp * 0.2) * w
    return np.mean(np.where(x > 0, np.exp(x) - 1, 0.0))


def garch(params):
    omega, alpha, beta = params
    sigma2 = np.var(Z[:20])
    ll = 0
    for r in Z[:20]:
        sigma2 = omega + alpha * r**2 + beta * sigma2
        ll -= 0.5 * (np.log(2 * np.pi * sigma2) + r**2 / sigma2)
    return ll


def arma(phi, theta):
    e = np.zeros(15)
    for t in range(1, 15):
        e[t] = Z[t] - phi * Z[t - 1] - theta * e[t - 1]
    return np.dot(e, e)


def trimmed_mean(x):
    s = np.sort(x)
    k = len(x) // 4
    return s[k:-k].mean() + np.median(x) ** 2 + np.percentile(x, 30)


def rank_loss(scores):
    order = np.argsort(-scores)
    gains = np.array([3.0, 2.0, 1.0, 0.5, 0.1])
    return np.sum(gains * scores[order]) + scores[order[0]] ** 2


def wasserstein(a, b):
    return np.abs(np.sort(a) - np.sort(b)).mean() ** 2


def quantile_loss(q, w):
    e = Y - X @ w
    return np.mean(np.maximum(q * e, (q - 1) * e))


def huber(w):
    r = X @ w - Y
    return np.sum(np.where(np.abs(r) < 0.5, 0.5 * r**2, 0.5 * (np.abs(r) - 0.25)))


def survival(beta):
    times = np.argsort(Z[:12])
    eta = X[times] @ beta
    risk = np.log(np.cumsum(np.exp(eta)[::-1])[::-1])
    return -np.sum((eta - risk)[Y[times] == 1])


def running_product(x):
    p = np.cumprod(1 + x)
    return p[-1] / np.maximum.accumulate(p).max() + np.min(p / np.maximum.accumulate(p))


def sharpe(w):
    returns = X @ w
    return returns.mean() / returns.std(ddof=1) + np.cov(X.T)[0, 1] * w[0]


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


def mvn(mu, chol):
    L = np.tril(chol) + 2 * np.eye(3)
    z = np.linalg.solve(L, (X - mu).T)
    return -0.5 * (z**2).sum() - len(X) * np.log(np.diagonal(L)).sum()


def ridge(lam):
    w = np.linalg.solve(X.T @ X + lam * np.eye(3), X.T @ Y)
    return np.sum((Y - X @ w) ** 2)


def lstsq(x):
    A = np.vander(x, 3)
    coef, *_ = np.linalg.lstsq(A, np.sin(Z[: len(x)]), rcond=None)
    return np.polyval(coef, 0.3)


def polynomial(coef, x):
    return np.polyval(coef, x) + sum(c * x**i for i, c in enumerate(coef))


def histogram_soft(x):
    edges = np.linspace(-2, 2, 6)
    w = np.exp(-((x[:, None] - edges) ** 2))
    w /= w.sum(axis=1, keepdims=True)
    h = w.mean(0)
    return -(h * np.log(h)).sum()


def scatter_groups(x):
    sums = np.zeros(3)
    np.add.at(sums, LABELS, x)
    counts = np.bincount(LABELS, minlength=3)
    means = sums / np.maximum(counts, 1)
    return np.sum((x - means[LABELS]) ** 2) + np.sum(np.bincount(LABELS, weights=x) ** 3)


def negative_sampling(emb):
    pos = np.einsum("ij,ij->i", emb[:4], emb[4:8])
    neg = np.einsum("ij,kj->ik", emb[:4], emb[8:])
    return -np.log(1 / (1 + np.exp(-pos))).sum() - np.log1p(-1 / (1 + np.exp(-neg))).mean()


def bootstrap(x):
    rng = np.random.default_rng(3)
    total = 0.0
    for _ in range(4):
        total += x[rng.integers(0, len(x), len(x))].mean() ** 2
    return total / 4


def elbo(mu, rho):
    eps = np.random.default_rng(2).standard_normal((8, 3))
    sigma = np.log1p(np.exp(rho))
    w = mu + sigma * eps
    like = -0.5 * ((Y - w @ X.T) ** 2).sum(axis=1)
    kl = np.sum(-np.log(sigma) + (sigma**2 + mu**2) / 2 - 0.5)
    return like.mean() - kl


def n(*shape):
    return R.normal(size=shape)


CASES = {
    "logistic": (logistic, [(n(3),), (n(3),)], {"hessian": True}),
    "stable_logistic": (stable_logistic, [(n(3),), (n(3),)], {"hessian": True, "vmap": True}),
    "poisson": (poisson, [(n(3),), (n(3) * 0.3,)], {}),
    "softmax": (softmax_regression, [(n(3, 3),), (n(3, 3),)], {"hessian": True}),
    "gp": (gp, [(np.array([0.1, 0.2, -1.0]),), (np.array([0.5, -0.2, -0.5]),)], {"hessian": True}),
    "gp_slogdet": (gp_slogdet, [(1.0, 0.1), (2.0, 0.3)], {"hessian": True}),
    "kmeans": (kmeans, [(n(6),), (n(6) * 0.5,)], {}),
    "pca": (pca_variance, [(n(6, 3) * [3, 2, 1],), (n(6, 3) * [1, 3, 2],)], {}),
    "svd": (svd_energy, [(n(5, 3),), (n(5, 3),)], {}),
    "mixture": (mixture, [(n(2), n(2) * 0.2), (n(2), n(2) * 0.2)], {"hessian": True}),
    "student": (student_t, [(0.1, 3.0), (-0.5, 7.5)], {"hessian": True}),
    "beta_binomial": (beta_binomial, [(1.5, 2.5), (3.0, 0.7)], {}),
    "black_scholes": (black_scholes, [(1.0, 1.1, 0.2, 0.5), (1.3, 1.0, 0.4, 1.5)], {"hessian": True}),
    "erf": (black_scholes_erf, [(1.0, 0.2), (1.3, 0.4)], {"hessian": True}),
    "option": (monte_carlo_option, [(1.0, 0.2), (1.1, 0.4)], {}),
    "heston": (heston, [(0.04, 1.0, -0.5), (0.09, 2.0, 0.3)], {"rtol": 1e-5}),
    "garch": (garch, [(np.array([0.1, 0.1, 0.8]),), (np.array([0.2, 0.3, 0.4]),)], {"hessian": True}),
    "arma": (arma, [(0.5, 0.2), (0.1, -0.4)], {"hessian": True}),
    "trimmed": (trimmed_mean, [(n(9),), (n(9),)], {"vmap": True}),
    "rank": (rank_loss, [(n(5),), (n(5),)], {"vmap": True}),
    "wasserstein": (wasserstein, [(n(5), n(5)), (n(5), n(5))], {}),
    "quantile": (quantile_loss, [(0.3, n(3)), (0.8, n(3))], {}),
    "huber": (huber, [(n(3),), (n(3),)], {"vmap": True}),
    "survival": (survival, [(n(3),), (n(3),)], {"hessian": True}),
    "running": (running_product, [(n(6) * 0.1,), (n(6) * 0.1,)], {}),
    "sharpe": (sharpe, [(n(3),), (n(3),)], {"hessian": True}),
    "correlation": (correlation, [(n(6), n(6)), (n(6), n(6))], {"hessian": True}),
    "mvn": (mvn, [(n(3), n(3, 3) * 0.3), (n(3), n(3, 3) * 0.3)], {"hessian": True}),
    "ridge": (ridge, [(0.5,), (2.5,)], {"hessian": True}),
    "lstsq": (lstsq, [(n(6),), (n(6),)], {}),
    "polynomial": (polynomial, [(n(4), 0.5), (n(4), -1.5)], {"hessian": True}),
    "histogram": (histogram_soft, [(n(5),), (n(5),)], {"hessian": True, "vmap": True}),
    "scatter": (scatter_groups, [(n(12),), (n(12),)], {}),
    "negative": (negative_sampling, [(n(11, 2),), (n(11, 2),)], {}),
    "bootstrap": (bootstrap, [(n(6),), (n(6),)], {}),
    "elbo": (elbo, [(n(3), n(3)), (n(3), n(3))], {"hessian": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_statistics(name):
    fun, calls, options = CASES[name]
    follow(fun, *calls, **options)
