"""Trigonometric and hyperbolic ufuncs, their inverses, and sinc."""

from __future__ import annotations

from math import factorial, pi
from typing import Any

import numpy as np

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import (
    amul,
    elementwise,
    equal,
    reciprocal,
    sqrt,
    square,
    where,
)
from jittape.types import Aval, aval

_UNIT = ((-0.9, 0.9),)

tan = elementwise(np.tan, lambda y, x: 1.0 + square(y), domain=((-1.2, 1.2),))
arcsin = elementwise(np.arcsin, lambda y, x: reciprocal(sqrt((1.0 - x) * (1.0 + x))), domain=_UNIT)
arccos = elementwise(np.arccos, lambda y, x: -reciprocal(sqrt((1.0 - x) * (1.0 + x))), domain=_UNIT)
arctan = elementwise(np.arctan, lambda y, x: reciprocal(1.0 + square(x)))
sinh: Op = elementwise(np.sinh, lambda y, x: cosh(x))
cosh: Op = elementwise(np.cosh, lambda y, x: sinh(x))
arcsinh = elementwise(np.arcsinh, lambda y, x: reciprocal(sqrt(1.0 + square(x))))
arccosh = elementwise(
    np.arccosh, lambda y, x: reciprocal(sqrt(x - 1.0) * sqrt(x + 1.0)), domain=((1.2, 3.0),)
)
arctanh = elementwise(np.arctanh, lambda y, x: reciprocal((1.0 - x) * (1.0 + x)), domain=_UNIT)

deg2rad = elementwise(np.deg2rad, lambda y, x: x.dtype.type(pi / 180))
rad2deg = elementwise(np.rad2deg, lambda y, x: x.dtype.type(180 / pi))
radians = elementwise(np.radians, lambda y, x: x.dtype.type(pi / 180))
degrees = elementwise(np.degrees, lambda y, x: x.dtype.type(180 / pi))


def _ratio(a: Any, r: Any) -> Any:
    """a / r, and 0 where r is 0."""
    origin = equal(r, 0)
    return where(origin, r.dtype.type(0), a / where(origin, r.dtype.type(1), r))


hypot = elementwise(
    np.hypot,
    lambda y, a, b: _ratio(a, y),
    lambda y, a, b: _ratio(b, y),
    domain=((0.3, 2.0), (-2.0, 2.0)),
    kinks="derivatives 0 at the origin",
)
arctan2 = elementwise(
    np.arctan2,
    lambda y, a, b: _ratio(b, square(a) + square(b)),
    lambda y, a, b: -_ratio(a, square(a) + square(b)),
    domain=((0.3, 2.0), (-2.0, 2.0)),
    kinks="derivatives 0 at the origin",
)


# -- sinc ----------------------------------------------------------------------------------------


def _sinc_derivative(x: Any, n: int) -> Any:
    """The n-th derivative of sin(pi x) / (pi x).

    f = sin(y)/y has y f[n] + n f[n-1] = sin(y + n pi/2), which loses digits only for |y| < n; there
    the power series is summed.
    """
    if n == 0:
        return np.sinc(x)
    x = np.asarray(x)
    wide = np.result_type(x.dtype, np.float64)
    y = pi * x.astype(wide)
    near = abs(y) < n + 1.5
    small = np.where(near, y, 0.0)
    series = np.zeros_like(y)
    for k in range((n + 1) // 2, (n + 1) // 2 + 18 + n):
        order = 2 * k - n
        series += small**order * ((-1) ** k / (factorial(order) * (2 * k + 1)))
    far = np.where(near, 1.0, y)
    f = np.sin(far) / far
    for m in range(1, n + 1):
        f = (np.sin(far + m * pi / 2) - m * f) / far
    return (pi**n * np.where(near, series, f)).astype(x.dtype)[()]


def _sinc_infer(x: Aval, n: int) -> Aval:
    return aval(x.shape, x.dtype)


sinc: Op = declare(
    Op(
        name="sinc",
        kind=Kind.ELEMENTWISE,
        infer=_sinc_infer,
        evaluate=_sinc_derivative,
        params=("n",),
        vjp=lambda g, out, x, n: (amul(g, sinc(x, n=n + 1)),),
        jvp=lambda tangents, out, x, n: amul(tangents[0], sinc(x, n=n + 1)),
        domain=((-2.0, 2.0),),
        kinks="no kink at 0: value 1, slope 0, curvature -pi**2/3",
        cases=(
            Case(((3,),), {"n": 0}),
            Case((np.array([0.0, 1e-9, 1.5, -0.8]),), {"n": 1}, "near zero"),
            Case((0.0,), {"n": 0}, "at zero"),
        ),
        doc="the n-th derivative of sin(pi x) / (pi x)",
    )
)
