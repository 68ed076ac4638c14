"""Special functions beyond the generated tests: SciPy's own names on tracers, limits and kinks,
refusals, log-densities, and that SciPy is imported only by those who use it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.special
import scipy.special as sp
import scipy.stats as stats
from oracle import check, check_value
from scipy.special import gammaln, log_softmax, logsumexp, softmax

import jittape
import jittape.scipy.special as js
from jittape.errors import DifferentiationError, TraceError

X = np.array([0.3, -1.2, 2.0])


def test_importing_jittape_does_not_import_scipy():
    code = "import sys, jittape; assert not any(m.startswith('scipy') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_first_use_declares_the_functions_also_inside_a_trace():
    code = """
import numpy as np, jittape
def f(x):
    import scipy.special
    return scipy.special.erf(x) + scipy.special.sici(x)[0]
g = jittape.grad(f)(0.5)
assert abs(g - 2 / np.sqrt(np.pi) * np.exp(-0.25) - np.sin(0.5) / 0.5) < 1e-15, g
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: logsumexp(x),
        lambda x: sp.logsumexp(np.stack([x, 2 * x]), axis=1, b=np.array([[1.0], [0.5]])),
        lambda x: logsumexp(np.stack([x, x * x]), axis=0, keepdims=True),
        lambda x: logsumexp(x, b=np.array([1.0, -2.0, 0.1]), return_sign=True)[0],
        lambda x: softmax(np.stack([x, -x]), axis=0),
        lambda x: log_softmax(x),
        lambda x: sp.polygamma(1, x + 3) + sp.multigammaln(x[2] + 2, 3),
        lambda x: scipy.fft.irfft(scipy.fft.rfft(x, 4) * 2, 4),
        lambda x: scipy.linalg.expm(np.outer(x, x) / 4),
        lambda x: scipy.linalg.cho_solve(
            scipy.linalg.cho_factor(np.outer(x, x) + 3 * np.eye(3)), x
        ),
        lambda x: scipy.linalg.eigh(np.outer(x, x) + np.diag(x), np.diag([1.0, 2, 3]))[0],
        lambda x: scipy.linalg.solve(np.outer(x, x) + 3 * np.eye(3), x, assume_a="pos"),
        lambda x: scipy.linalg.norm(x) + scipy.linalg.det(np.diag(x)),
        lambda x: scipy.linalg.qr(np.outer(x, x)[:, :1] + 1, mode="economic")[1],
    ],
)  # fmt: skip
def test_scipys_python_functions_record_by_their_own_names(f):
    check(f, X, value_rtol=1e-12)


def test_names_are_scipys_again_after_a_trace():
    before = sp.logsumexp, scipy.linalg.expm
    for f in (logsumexp, lambda x: logsumexp(x)):
        for x in (X, 2 * X, 3 * X):
            np.testing.assert_allclose(jittape.grad(f)(x), sp.softmax(x))
    assert (sp.logsumexp, scipy.linalg.expm) == before
    assert type(sp.logsumexp) is type(lambda: 0) is type(logsumexp)
    assert logsumexp(X) == sp.logsumexp(X)


def test_logsumexp_at_its_limits():
    inf = np.inf
    for x in ([-inf, -inf], [inf, 1.0], [-inf, 2.0], [800.0, 799.0], [np.nan, 1.0]):
        check_value(lambda x: js.logsumexp(x), np.array(x), rtol=1e-14)
    np.testing.assert_array_equal(jittape.grad(js.logsumexp)(np.array([-inf, -inf])), 0.0)
    np.testing.assert_array_equal(jittape.grad(js.logsumexp)(np.array([-inf, 2.0])), [0, 1])
    big = np.array([800.0, 799.0])
    np.testing.assert_allclose(jittape.grad(js.logsumexp)(big), sp.softmax(big))
    np.testing.assert_allclose(
        jittape.hessian(js.logsumexp)(big),
        np.diag(sp.softmax(big)) - np.outer(sp.softmax(big), sp.softmax(big)),
    )


def test_kinks_and_ends_of_domains():
    d = jittape.grad
    assert d(lambda y: sp.xlogy(0.0, y))(0.0) == 0.0
    assert d(lambda y: sp.rel_entr(0.0, y))(0.0) == 0.0
    assert d(sp.exprel)(0.0) == 0.5
    assert d(d(sp.exprel))(0.0) == pytest.approx(1 / 3)
    assert d(sp.spence)(1.0) == -1.0
    assert d(sp.j1)(0.0) == 0.5
    assert d(sp.i1)(0.0) == 0.5
    assert d(sp.ellipk)(0.0) == pytest.approx(np.pi / 8)
    assert d(sp.rgamma)(-2.0) == pytest.approx(2.0)
    assert d(lambda x: sp.sici(x)[0])(0.0) == 1.0
    assert d(sp.log_ndtr)(-40.0) == pytest.approx(40.02498, rel=1e-6)
    assert d(sp.log_expit)(-800.0) == 1.0
    assert d(sp.expit)(800.0) == 0.0
    assert d(sp.i0e)(0.0) == 0.0


def test_derivatives_that_are_not_offered_say_so_only_where_they_are_asked_for():
    check(lambda x: sp.jv(1.5, x), np.array([0.5, 2.0]))
    check(lambda x: sp.kn(2, x) + sp.yn(1, x), np.array([0.5, 2.0]))
    check(lambda x: sp.betainc(2.0, 3.5, x), np.array([0.2, 0.7]))
    with pytest.raises(DifferentiationError, match="order.*stop_gradient"):
        jittape.grad(lambda v: sp.jv(v, 1.0))(0.5)
    with pytest.raises(DifferentiationError, match="order"):
        jittape.jvp(lambda v: sp.jv(v, 1.0), (0.5,), (1.0,))
    with pytest.raises(DifferentiationError, match="shape parameter"):
        jittape.grad(lambda a: sp.betainc(a, 1.0, 0.5))(0.5)
    assert jittape.grad(lambda v: sp.jv(jittape.stop_gradient(v), v))(1.0) == pytest.approx(
        sp.jvp(1.0, 1.0)
    )


@pytest.mark.parametrize("a", [0.3, 1.0, 4.5, 60.0])
@pytest.mark.parametrize("x", [0.01, 0.7, 5.0, 50.0, 300.0])
def test_incomplete_gamma_in_its_first_argument(a, x):
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        want = mpmath.diff(lambda t: mpmath.gammainc(t, 0, x, regularized=True), a)
        second = mpmath.diff(lambda t: mpmath.gammainc(t, 0, x, regularized=True), a, 2)
    d = jittape.grad(lambda a: sp.gammainc(a, x))
    assert d(a) == pytest.approx(float(want), rel=1e-9, abs=1e-12)
    assert jittape.grad(d)(a) == pytest.approx(float(second), rel=1e-8, abs=1e-11)
    assert jittape.grad(lambda a: sp.gammaincc(a, x))(a) == -d(a)


@pytest.mark.parametrize(
    ("f", "want"),
    [
        (lambda x, p: -0.5 * ((x - p) ** 2) - 0.5 * np.log(2 * np.pi), stats.norm.logpdf),
        (lambda x, p: sp.xlogy(p - 1, x) - x - gammaln(p), stats.gamma.logpdf),
        (
            lambda x, p: gammaln((p + 1) / 2) - gammaln(p / 2) - 0.5 * np.log(p * np.pi)
            - (p + 1) / 2 * np.log1p(x * x / p),
            stats.t.logpdf,
        ),
        (lambda x, p: sp.xlogy(np.floor(x), p) - gammaln(np.floor(x) + 1) - p,
         lambda x, p: stats.poisson.logpmf(np.floor(x), p)),
    ],
    ids=["normal", "gamma", "t", "poisson"],
)  # fmt: skip
def test_log_densities_written_with_special_functions(f, want):
    x, p = np.array([0.3, 1.7, 4.2]), 2.5
    np.testing.assert_allclose(f(x, p), want(x, p))
    check(lambda p: np.sum(f(x, p)), p, value_rtol=1e-12)
    g = jittape.grad(lambda p: np.sum(f(x, p)))(p)
    h = 1e-6
    assert g == pytest.approx(np.sum(want(x, p + h) - want(x, p - h)) / (2 * h), rel=1e-6)


def test_what_is_not_recorded_is_named_with_the_users_line():
    with pytest.raises(TraceError, match=r"test_special\.py:\d+: .*custom_vjp"):
        jittape.grad(lambda x: scipy.linalg.schur(x * np.eye(2))[0].sum())(2.5)
    with pytest.raises(TraceError, match=r"test_special\.py:\d+: .*mathieu_a"):
        jittape.grad(lambda x: sp.mathieu_a(1, x))(2.5)
    with pytest.raises(TraceError, match="left"):
        jittape.jit(lambda a: scipy.linalg.eig(a, left=True))(np.eye(2))
    assert js.erf is sp.erf
    assert js.factorial(3) == 6


def test_float32_and_complex_arguments():
    assert jittape.grad(lambda x: np.sum(sp.erf(x)))(X.astype(np.float32)).dtype == np.float32
    z = 0.5 + 0.3j
    _, t = jittape.jvp(sp.erf, (z,), (1.0 + 0j,))
    assert t == pytest.approx(2 / np.sqrt(np.pi) * np.exp(-(z**2)))


DISTRIBUTIONS = {
    "norm": (), "gamma": (2.0,), "beta": (2.0, 3.0), "t": (3.0,), "expon": (), "lognorm": (0.7,),
    "cauchy": (), "laplace": (), "logistic": (), "uniform": (), "chi2": (3.0,), "f": (2.0, 3.0),
    "invgamma": (2.0,), "weibull_min": (1.5,), "halfnorm": (), "gumbel_r": (),
}  # fmt: skip


@pytest.mark.parametrize("method", ["logpdf", "cdf"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_of_scipy_stats(name, method):
    """At points inside and outside of the support; the derivative in location and scale."""
    shapes = DISTRIBUTIONS[name]
    x = np.array([0.35, 0.6, -1.0])

    def of(p):
        return getattr(getattr(stats, name), method)(x, *shapes, loc=p[0], scale=p[1])

    p = np.array([0.1, 1.3])
    replayed, slope = jittape.jit(of), jittape.jacobian(of)
    for q in (p, p * 1.01, p * 1.02):
        np.testing.assert_allclose(replayed(q), of(q), rtol=1e-12)
        inside = np.isfinite(of(q)) & (of(q) != 0)
        h = 1e-6
        with np.errstate(invalid="ignore"):
            numeric = np.stack([(of(q + h * e) - of(q - h * e)) / (2 * h) for e in np.eye(2)], 1)
        np.testing.assert_allclose(slope(q)[inside], numeric[inside], rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(slope(q)[~inside], 0.0)


def test_parameters_of_scipy_stats():
    x = np.array([0.4, 1.3, 2.2])
    for f, a in (
        (lambda a: stats.gamma.logpdf(x, a), 2.5),
        (lambda a: stats.beta(a, 2.0).logpdf(x / 3), 1.5),
        (lambda a: stats.norm(a, 2.0).logpdf(x), 0.3),
        (lambda a: stats.t.logpdf(x, a), 4.0),
        (lambda a: stats.poisson.logpmf(np.array([0, 2, 5]), a), 1.7),
        (lambda a: stats.binom.logpmf(np.array([0, 2, 5]), 6, a), 0.4),
        (lambda a: stats.gamma.cdf(x, a), 2.5),
    ):
        check(f, a, value_rtol=1e-12)
    assert np.isnan(jittape.jit(lambda a: stats.gamma.logpdf(1.0, a))(-1.0))
    assert jittape.jit(lambda m: stats.poisson.logpmf(1.5, m))(2.0) == -np.inf
