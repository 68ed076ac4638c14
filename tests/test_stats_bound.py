"""scipy.stats methods that were bound before anything was traced (`N = norm.cdf`)."""

import numpy as np
import pytest
from sequences import follow

import jittape

st = pytest.importorskip("scipy.stats")
N, density = st.norm.cdf, st.beta.pdf


def black_scholes(s, k, v):
    d = np.log(s / k) / v + 0.5 * v
    return s * N(d) - k * N(d - v)


def beta_product(x, a):
    return np.prod(density(x, a, 2.0)) + st.poisson.cdf(2, a)


def test_black_scholes():
    follow(black_scholes, (1.0, 1.1, 0.2), (1.3, 1.0, 0.4), hessian=True)


def test_beta_density():
    follow(beta_product, (np.array([0.2, 0.5]), 1.5), (np.array([0.7, 0.3]), 2.5), hessian=True)


def test_solvers_written_in_python_are_recorded():
    integrate = pytest.importorskip("scipy.integrate")

    def decay(k):
        return integrate.solve_ivp(lambda t, y: -k * y, (0, 1), [1.0]).y[0, -1]

    slope = jittape.grad(decay)
    for k in (1.3, 1.3, 0.7):
        h = 1e-5
        assert slope(k) == pytest.approx((decay(k + h) - decay(k - h)) / (2 * h), rel=1e-4)


def test_single_precision_is_computed_in_double_as_scipy_does():
    x = np.linspace(-3.0, 3.0, 7).astype(np.float32)
    for name in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf"):
        want = getattr(st.norm, name)(x)
        got = jittape.jit(lambda x, name=name: getattr(st.norm, name)(x))(x)
        assert got.dtype == want.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-12)
