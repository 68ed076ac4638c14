"""scipy.stats on tracers: multivariate densities, distribution functions, statistics of samples."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import check, scipy_before

import jittape
from jittape.errors import TraceError

st = pytest.importorskip("scipy.stats")
sp = pytest.importorskip("scipy.special")

A = np.array([[2.0, 0.3, 0.1], [0.2, 3.0, 0.4], [0.5, 0.1, 4.0]])
S = A @ A.T
X = np.random.default_rng(2).normal(size=(4, 3))
M = np.array([0.3, -0.2, 0.5])
P = np.array([0.2, 0.3, 0.5])
C = np.array([1.5, 2.0, 0.7])
SAMPLE = np.array([0.4, 1.7, 0.9, 2.2, 0.1, 1.3])


@pytest.mark.parametrize(
    "f",
    [
        lambda x, m, s: st.multivariate_normal.logpdf(x, m, s @ s.T),
        lambda x, m, s: st.multivariate_normal.pdf(x, m, S + s @ s.T),
        lambda x, m, s: st.multivariate_normal(m, s @ s.T).logpdf(x),
        lambda x, m, s: st.multivariate_normal.logpdf(X, mean=m, cov=S) * x[0, 0],
        lambda x, m, s: st.multivariate_t.logpdf(x, m, s @ s.T, 3.5),
        lambda x, m, s: st.matrix_normal.logpdf(x[:3], s, S, s @ s.T),
        lambda x, m, s: st.wishart.logpdf(S + s @ s.T, 4.5, s @ s.T) * m[0],
    ],
)
def test_multivariate_densities(f):
    check(f, X, M, A, order=1, value_rtol=1e-11, rtol=1e-5)


def test_densities_on_simplices():
    check(lambda a: st.dirichlet.logpdf(P, a), C, value_rtol=1e-12)
    check(lambda p: st.multinomial.logpmf([1, 2, 3], 6, p / np.sum(p)), P, value_rtol=1e-12)
    check(lambda a: st.dirichlet_multinomial.logpmf([1, 2, 3], a, 6), C, value_rtol=1e-12)


AT = np.array([0.3, 0.6])


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("genextreme", (0.3,)), ("genpareto", (0.3,)), ("beta", (2.0, 3.0)), ("t", (3.0,)),
        ("skewnorm", (2.0,)), ("truncnorm", (-1.0, 2.0)), ("vonmises", (2.0,)),
        ("pearson3", (0.5,)), ("gennorm", (1.5,)), ("levy_stable", None),
    ],
)  # fmt: skip
def test_univariate_densities(name, shapes):
    if shapes is None:
        with pytest.raises((TraceError, TypeError)):
            jittape.jit(lambda x: st.levy_stable.pdf(x, 1.5, 0.2))(AT)
        return
    d = getattr(st, name)
    check(lambda x, *s: d.logpdf(x, *s, 0.01, 1.1), AT, *shapes, order=1, value_rtol=1e-11)
    check(lambda x, *s: d.pdf(x, *s, scale=1.1), AT, *shapes, order=1, value_rtol=1e-11)
    if name != "vonmises":
        check(lambda x: d.cdf(x, *shapes, scale=1.1), AT, order=1, value_rtol=1e-10)


def test_counts_by_their_probability():
    k = np.array([0, 2, 3])
    for f in (
        lambda p: st.binom.pmf(k, 5, p),
        lambda p: st.binom.cdf(k, 5, p),
        lambda p: st.binom.logpmf(k, 5, p),
        lambda p: st.nbinom.pmf(k, 5, p),
        lambda p: st.nbinom.sf(k, 5, p),
        lambda p: st.nbinom.logpmf(k, 5.5, p),
    ):
        check(f, 0.3, value_rtol=1e-11)
    for p in (0.3, np.array([0.3, 0.6, 0.2])):
        check(lambda p: st.poisson.logpmf(k, 1 + p), p, value_rtol=1e-11)


def test_formulas_that_walk_over_elements_get_arguments_of_one_shape():
    # SciPy's survival function of norminvgauss zips its arguments, and integrates
    for x in (AT, 2 * AT, AT):
        got = jittape.jit(lambda x: st.norminvgauss.sf(x, 1.5, 0.5))(x)
        np.testing.assert_allclose(got, st.norminvgauss.sf(x, 1.5, 0.5), rtol=1e-12)
    with pytest.raises(TraceError, match="bare value"):
        jittape.grad(lambda x: np.sum(st.norminvgauss.sf(x, 1.5, 0.5)))(AT)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: st.zscore(x), lambda x: st.skew(x), lambda x: st.kurtosis(x),
        lambda x: st.gmean(x), lambda x: st.hmean(x), lambda x: st.sem(x),
        lambda x: st.variation(x), lambda x: st.iqr(x), lambda x: st.trim_mean(x, 0.2),
        lambda x: st.pearsonr(x, x[::-1] ** 2)[0], lambda x: st.entropy(x),
        lambda x: st.circmean(x), lambda x: st.median_abs_deviation(x),
        lambda x: st.linregress(np.arange(6.0), x)[0], lambda x: st.boxcox_llf(0.5, x),
        lambda x: st.ttest_1samp(x, 0.3)[0], lambda x: st.gaussian_kde(SAMPLE)(x),
        lambda x: st.gaussian_kde(SAMPLE).logpdf(x),
        lambda x: st.gaussian_kde(X.T, weights=[1, 2, 1, 1]).evaluate(x[:3]),
        lambda x: st.gaussian_kde(x)(0.5 * x[:2]),
        lambda x: st.gaussian_kde(np.stack([x, x[::-1] ** 2])).logpdf([0.3, 0.8]),
        lambda x: st.gaussian_kde(SAMPLE, bw_method=x[0])([0.3, 0.8]),
        lambda x: st.gaussian_kde(SAMPLE, bw_method="silverman", weights=x).pdf(0.7),
    ],
)  # fmt: skip
def test_statistics_of_samples(f):
    check(f, SAMPLE, order=1, value_rtol=1e-11, rtol=1e-5)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: sp.comb(x + 3, 2), lambda x: sp.perm(x + 3, 2.5), lambda x: sp.factorial(x),
        lambda x: sp.comb(np.array([5.0, -1.0, 2.0]), x, repetition=False),
        lambda x: sp.spherical_jn(2, x), lambda x: sp.spherical_kn(0, x),
        lambda x: np.real(sp.lambertw(x)), lambda x: sp.airy(x)[3],
        lambda x: np.abs(sp.hankel1(1, x)), lambda x: sp.voigt_profile(x, 0.5 * x, 0.3 + x),
        lambda x: sp.legendre(3)(x), lambda x: sp.eval_hermite(3, x) + sp.eval_chebyt(4, x),
    ],
)  # fmt: skip
def test_special_functions_by_their_own_names(f):
    check(f, np.array([0.3, 0.7, 1.4]), value_rtol=1e-10, rtol=1e-5)


@pytest.mark.parametrize("name", ["cauchy", "norm", "logistic", "gumbel_r", "laplace", "uniform"])
def test_quantiles_of_the_upper_tail(name):
    q = np.array([0.1, 0.4, 0.8])
    d = getattr(st, name)
    check(lambda q, m, s: d.isf(q, m, s), q, 0.3, 1.5, value_rtol=1e-12, rtol=1e-5)
    check(lambda q, m, s: d.ppf(q, m, s), q, 0.3, 1.5, value_rtol=1e-12, rtol=1e-5)


@pytest.mark.skipif(scipy_before(1, 15), reason="SciPy 1.15 has sph_harm_y")
@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.real(sp.sph_harm_y(3, 2, x, x * x)),
        lambda x: np.imag(sp.sph_harm_y(3, np.array([-2, 1, 0]), x, 2 * x)),
    ],
)
def test_spherical_harmonics(f):
    check(f, np.array([0.3, 0.7, 1.4]), value_rtol=1e-10, rtol=1e-5)
