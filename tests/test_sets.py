"""np.unique and the set functions; quantiles whose position is traced; weights of np.cov."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import check

import jittape
from jittape.errors import TraceError


def test_unique_follows_the_values_and_the_number_of_distinct_ones():
    def f(x):
        values, index, inverse, counts = np.unique(
            x, return_index=True, return_inverse=True, return_counts=True
        )
        return values, index, inverse, counts

    got = jittape.jit(f)
    for x in ([3.0, 1.0, 3.0], [1.0, 3.0, 1.0], [2.0, 2.0, 2.0], [1.0, 2.0, 3.0], [3.0, 1.0, 3.0],
              [np.nan, 1.0, np.nan]):  # fmt: skip
        for a, b in zip(got(np.array(x)), f(np.array(x)), strict=True):
            np.testing.assert_array_equal(a, b)
    g = jittape.grad(lambda x: np.sum(np.unique(x) ** 2))
    np.testing.assert_array_equal(g(np.array([3.0, 1.0, 3.0])), [6.0, 2.0, 0.0])
    np.testing.assert_array_equal(g(np.array([3.0, 1.0, 2.0])), [6.0, 2.0, 4.0])


def test_set_functions():
    a, b = np.array([3.0, 1.0, 2.0]), np.array([2.0, 5.0])
    for name in ("union1d", "intersect1d", "setdiff1d", "setxor1d"):
        f = getattr(np, name)
        got = jittape.jit(lambda x, y, name=name: getattr(np, name)(x, y))
        for x, y in ((a, b), (b, a), (a, a), (a[:1], b)):
            np.testing.assert_array_equal(got(x, y), f(x, y))
    with pytest.raises(TraceError, match="rows"):
        jittape.jit(lambda x: np.unique(x, axis=0))(np.ones((2, 2)))


def test_quantiles_by_their_position():
    x = np.array([0.3, 2.0, -1.0, 0.9, 1.4])
    check(lambda x, q: np.quantile(x, q), x, 0.3)
    check(lambda x, q: np.percentile(x, q, method="weibull"), x, np.array([30.0, 55.0]))
    check(lambda x, q: np.nanquantile(np.stack([x, x * x]), q, axis=1), x, 0.37)
    assert jittape.grad(lambda q: np.quantile(x, q))(1.0) == pytest.approx(4 * (2.0 - 1.4))
    with pytest.raises(ValueError, match="between 0 and 1"):
        jittape.jit(lambda q: np.quantile(x, q))(1.5)
    with pytest.raises(TraceError, match="closest_observation"):
        jittape.jit(lambda x: np.nanquantile(x, 0.5, method="closest_observation"))(x)


@pytest.mark.parametrize(
    "method",
    "inverted_cdf averaged_inverted_cdf closest_observation linear median_unbiased".split(),
)
def test_quantile_methods_at_and_between_their_steps(method):
    for n in (5, 6):
        x = np.random.default_rng(n).normal(size=n)
        q = np.linspace(0, 1, 13)
        got = jittape.jit(lambda x, q=q: np.quantile(x, q, method=method))(x)
        np.testing.assert_allclose(got, np.quantile(x, q, method=method), rtol=1e-14)


def test_missing_values_move_between_calls():
    f = jittape.value_and_grad(lambda x: np.nanmedian(x) + np.nanpercentile(x, 30))
    for x in ([1.0, np.nan, 3.0, 2.0], [1.0, 4.0, 3.0, 2.0], [np.nan, np.nan, 3.0, 2.0]):
        x = np.array(x)
        value, slope = f(x)
        assert value == pytest.approx(np.nanmedian(x) + np.nanpercentile(x, 30), rel=1e-14)
        assert np.all(slope[np.isnan(x)] == 0)
        assert np.sum(slope) == pytest.approx(2.0)


def test_weighted_covariance_of_traced_weights():
    x, w = np.random.default_rng(0).normal(size=(2, 4)), np.array([0.5, 1.0, 2.0, 0.7])
    check(lambda x, w: np.cov(x, aweights=w), x, w)
    check(lambda x: np.cov(x, fweights=[1, 2, 1, 3], bias=True), x)


def test_roots_and_coefficients_with_complex_pairs():
    p = jittape.jit(lambda z: np.poly(z))
    for z in ([1j, -1j, 2.0], [1 + 1j, 2.0, 3.0]):
        np.testing.assert_allclose(p(np.array(z)), np.poly(np.array(z)), rtol=1e-14)
    check(lambda u, v: np.polydiv(u, v), np.array([1.0, 2.0, 3.0, 0.5]), np.array([2.0, -1.0]))


def test_second_derivative_of_i0_at_zero():
    d = jittape.grad(jittape.grad(lambda x: np.i0(x)))
    assert d(0.0) == pytest.approx(0.5, rel=1e-12)


def test_results_turn_complex_outside_of_the_real_domain():
    f = jittape.jit(lambda x: np.emath.sqrt(x))
    for x in ([1.0, 4.0], [-1.0, 4.0], [2.0, 4.0]):
        want = np.emath.sqrt(np.array(x))
        got = f(np.array(x))
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
