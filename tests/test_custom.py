"""custom_vjp, stop_gradient and register_ufunc."""

import math

import numba
import numpy as np
import pytest
import scipy.optimize
from oracle import check

import jittape


@jittape.custom_vjp
def root(a):
    """The real x with x**3 + x = a, by a bracketing search on concrete numbers."""
    return np.array([scipy.optimize.brentq(lambda x, b=b: x**3 + x - b, -10, 10, xtol=1e-15)
                     for b in np.atleast_1d(a)]).reshape(np.shape(a))


def root_fwd(a):
    x = root(a)
    return x, x


def root_bwd(x, g):
    return (g / (3 * x * x + 1),)


root.defvjp(root_fwd, root_bwd)


def test_opaque_function_in_both_modes_and_to_second_order():
    check(lambda a: root(a) * a, np.array([0.3, 2.0, -1.0]), value_rtol=1e-12)
    check(lambda a: np.exp(root(a)), 2.0, value_rtol=1e-12)


def test_replay_runs_the_function_anew():
    seen = []

    @jittape.custom_vjp
    def square(x):
        seen.append(float(x))
        return x * x

    square.defvjp(lambda x: (square(x), x), lambda x, g: (2 * x * g,))
    d = jittape.grad(lambda x: 3 * square(x))
    for x in (1.0, 2.0, 5.0, 7.0):
        assert d(x) == 6 * x
        assert seen[-1] == x


def test_third_derivative():
    d = root_derivative = jittape.grad(lambda a: root(a))
    d = jittape.grad(jittape.grad(root_derivative))
    x = root(np.float64(2.0))
    # implicit differentiation of x^3 + x = a, three times
    p = 3 * x**2 + 1
    assert d(2.0) == pytest.approx(-6 / p**4 + 108 * x**2 / p**5, rel=1e-12)
