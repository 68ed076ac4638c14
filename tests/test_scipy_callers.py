"""Each caller of SciPy with the derivatives it documents, as the examples show it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import scipy_fit
import scipy_minimize
import scipy_ode

import jittape


@pytest.mark.parametrize(
    "run",
    [
        scipy_minimize.with_value_and_gradient,
        scipy_minimize.with_hessian,
        scipy_minimize.with_hessian_vector_products,
    ],
)
def test_minimize(run):
    found = run()
    assert found.success
    np.testing.assert_allclose(found.x, 1.0, atol=2e-5)


@pytest.mark.parametrize("run", [scipy_minimize.with_slsqp, scipy_minimize.with_trust_constr])
def test_constrained(run):
    x = run().x
    np.testing.assert_allclose(x[0] * x[1], 1.0, atol=1e-5)
    np.testing.assert_allclose(x[0] ** 2 + x[2], 3.0, atol=1e-5)
    # on the curve x1 = 1 / x0, x2 = 3 - x0^2 the derivative of the distance vanishes
    a = x[0]
    assert 2 * a - 2 / a**3 - 4 * a * (3 - a**2) == pytest.approx(0.0, abs=1e-4)


def test_sparse_constraints():
    found = scipy_minimize.with_sparse_constraints()
    assert found.constr_violation < 1e-8
    assert scipy.sparse.issparse(found.jac[0])


def test_least_squares():
    found = scipy_fit.with_least_squares()
    assert found.success
    np.testing.assert_allclose(found.x, scipy_fit.TRUTH, atol=0.05)
    slope = found.jac.T @ found.fun
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)


def test_sparse_least_squares():
    found = scipy_fit.with_sparse_least_squares()
    assert found.success
    assert scipy.sparse.issparse(found.jac)
    np.testing.assert_allclose(found.jac.T @ found.fun, 0.0, atol=1e-4)


def test_curve_fit():
    found, covariance = scipy_fit.with_curve_fit()
    np.testing.assert_allclose(found, scipy_fit.with_least_squares().x, rtol=1e-6)
    assert np.all(np.linalg.eigvalsh(covariance) > 0)


def test_root():
    found = scipy_fit.with_root()
    assert found.success
    np.testing.assert_allclose(found.x, [0.8411639, 0.1588361], atol=1e-7)


@pytest.mark.parametrize("method", ["BDF", "Radau"])
def test_stiff_solvers(method):
    found = scipy_ode.stiff(method)
    assert found.success
    # the reference solution at t = 1e4 is quoted in every text on stiff solvers
    np.testing.assert_allclose(found.y.sum(axis=0), 1.0, rtol=1e-6)
    sparse = scipy_ode.stiff(method, sparse=True)
    np.testing.assert_allclose(found.y[:, -1], sparse.y[:, -1], rtol=1e-5)
    np.testing.assert_allclose(
        jittape.jacobian(scipy_ode.robertson, argnums=1)(0.0, np.array([1.0, 2.0, 3.0])),
        [[-0.04, 3e4, 2e4], [0.04, -3e4 - 12e7, -2e4], [0.0, 12e7, 0.0]],
    )


def test_boundary_value_problem():
    found = scipy_ode.boundary_value()
    assert found.success
    # y = -2 log(cosh(c (x - 1/2) ) / cosh(c / 2)), y'(0) = 2 c tanh(c / 2) = 2
    c = scipy.optimize.brentq(lambda c: c * np.tanh(c / 2) - 1, 0.5, 3)
    x = np.linspace(0, 1, 7)
    exact = -2 * np.log(np.cosh(c * (x - 0.5)) / np.cosh(c / 2))
    np.testing.assert_allclose(found.sol(x)[0], exact, atol=1e-7)
    assert found.p[0] == pytest.approx(2 * c**2 / np.cosh(c / 2) ** 2, rel=1e-6)
