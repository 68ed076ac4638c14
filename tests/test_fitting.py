"""Fits, roots, ranges with traced ends, and parts of complex arrays, in plain NumPy programs."""

import numpy as np
import pytest
from numpy.polynomial import Chebyshev, Polynomial, chebyshev, legendre
from sequences import follow

AT = np.array([0.1, 0.4, 0.9, 1.6])


def parts(x):
    z = np.zeros(3, complex)
    z.real = x
    z.imag = x**2
    w = z * 1j
    w.real = z.imag * 2
    return np.sum(np.abs(z) ** 2) + np.sum(w.imag * w.real)


def polynomials(c):
    p = Polynomial(c)
    q = np.poly1d(c)
    total = p.deriv()(0.3) + p.integ()(0.4) + (p * p - p)(c[0]) + Chebyshev(c).deriv(2)(0.2)
    return total + q(0.5) * q.deriv()(0.2) + chebyshev.chebval(0.3, c) + legendre.legval(0.2, c)


PROGRAMS = {
    "polyfit": (lambda x: np.polyfit(AT, x, 2)[1] + np.polyfit(x, AT, 1)[0], (4,)),
    "roots": (lambda x: np.sum(np.abs(np.roots(np.concatenate([[1.0], x]))) ** 2), (3,)),
    "roots with zeros": (lambda x: np.roots(np.append(x, 0.0)).real.max(), (3,)),
    "histogram": (lambda x: np.histogram(AT, 3, weights=x)[0] @ [1.0, 2.0, 4.0], (4,)),
    "density": (lambda x: np.histogram(AT, [0, 0.5, 2], density=True, weights=x**2)[0][1], (4,)),
    "edges": (lambda x: np.sum(np.histogram(x, 3)[1] ** 2) + np.histogram(x, 3)[0][1], (4,)),
    "arange": (lambda x: np.sum(np.arange(x[0], x[0] + 2.9, 0.5 + x[1] ** 2)) ** 2, (2,)),
    "parts": (parts, (3,)),
    "polynomial classes": (polynomials, (4,)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_fitting(name):
    fun, shape = PROGRAMS[name]
    rng = np.random.default_rng(4)
    follow(fun, (rng.normal(size=shape),), (rng.normal(size=shape),), hessian=name != "roots")
