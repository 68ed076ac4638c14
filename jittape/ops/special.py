"""SciPy's special functions, run through their own ufunc loops.

Loaded when jittape.scipy.special is imported, or when a ufunc of scipy.special first meets a
tracer: SciPy is optional. Formulas: NIST Digital Library of Mathematical Functions (dlmf.nist.gov),
chapters 6 (exponential integrals), 7 (error functions), 13 and 15 (hypergeometric), 19 (elliptic).
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

import numpy as np
import scipy.special as sp

from jittape.ops import bessel, gamma, orthogonal, quantile_functions  # noqa: F401  (declare)
from jittape.ops.declare import Kind, Op, declare
from jittape.ops.elementwise import UNARY_CASES, partial_jvp, partial_vjp, where
from jittape.ops.scipy_ufunc import ORDER, SHAPE, Domain, Partial, as_float, special
from jittape.types import Aval, aval

# -- error functions -----------------------------------------------------------------------------

_POSITIVE = (0.3, 4.0)
_2_SQRT_PI = 2 / sqrt(pi)
_SQRT_2PI = sqrt(2 * pi)

special(sp.erf, lambda y, x: _2_SQRT_PI * np.exp(-np.square(x)))
special(sp.erfc, lambda y, x: -_2_SQRT_PI * np.exp(-np.square(x)))
special(sp.erfcx, lambda y, x: 2.0 * x * y - _2_SQRT_PI)
special(sp.erfi, lambda y, x: _2_SQRT_PI * np.exp(np.square(x)))
special(sp.dawsn, lambda y, x: 1.0 - 2.0 * x * y)
special(sp.erfinv, lambda y, x: np.exp(np.square(y)) / _2_SQRT_PI, domain=(-0.9, 0.9))
special(sp.erfcinv, lambda y, x: -np.exp(np.square(y)) / _2_SQRT_PI, domain=(0.1, 1.9))
special(sp.ndtr, lambda y, x: np.exp(np.square(x) * -0.5) / _SQRT_2PI)
special(sp.log_ndtr, lambda y, x: np.exp(np.square(x) * -0.5 - y) / _SQRT_2PI)
special(sp.ndtri, lambda y, x: _SQRT_2PI * np.exp(np.square(y) * 0.5), domain=(0.1, 0.9))
special(sp.ndtri_exp, lambda y, x: _SQRT_2PI * np.exp(x + np.square(y) * 0.5), domain=(-3.0, -0.1))
special(
    sp.owens_t,
    lambda y, h, a: np.exp(np.square(h) * -0.5) * sp.erf(a * h / sqrt(2)) / (-2 * _SQRT_2PI),
    lambda y, h, a: (
        np.exp(np.square(h) * (1.0 + np.square(a)) * -0.5) / (2 * pi * (1.0 + np.square(a)))
    ),
)

# -- logistic and entropies ----------------------------------------------------------------------

special(sp.expit, lambda y, x: y * sp.expit(-x))
special(sp.logit, lambda y, x: 1.0 / (x * (1.0 - x)), domain=(0.1, 0.9))
special(sp.log_expit, lambda y, x: sp.expit(-x))
_AT_ZERO = "d/dy is 0 where x is 0, also at the end of the domain of y"


def _over(x: Any, y: Any) -> Any:
    """x / y, and 0 where x is 0."""
    null = np.equal(x, 0)
    return where(null, y.dtype.type(0), x / where(null, y.dtype.type(1), y))


special(
    sp.xlogy,
    lambda out, x, y: np.log(y),
    lambda out, x, y: _over(x, y),
    domain=((-2.0, 2.0), (0.2, 3.0)),
    kinks=_AT_ZERO,
)
special(
    sp.xlog1py,
    lambda out, x, y: np.log1p(y),
    lambda out, x, y: _over(x, 1.0 + y),
    domain=((-2.0, 2.0), (-0.5, 3.0)),
    kinks=_AT_ZERO,
)
_PROBABILITY = (0.1, 2.0)
special(sp.entr, lambda y, x: -np.log(x) - 1.0, domain=_PROBABILITY)
special(
    sp.rel_entr,
    lambda out, x, y: np.log(x / y) + 1.0,
    lambda out, x, y: -_over(x, y),
    domain=_PROBABILITY,
    kinks=_AT_ZERO,
)
special(
    sp.kl_div,
    lambda out, x, y: np.log(x / y),
    lambda out, x, y: 1.0 - _over(x, y),
    domain=_PROBABILITY,
    kinks=_AT_ZERO,
)
special(
    sp.huber,
    lambda y, d, r: where(np.less_equal(np.abs(r), d), 0.0, np.abs(r) - d),
    lambda y, d, r: np.minimum(np.maximum(r, -d), d),
    domain=((0.5, 1.0), (-2.0, 2.0)),
)
special(
    sp.pseudo_huber,
    lambda y, d, r: np.sqrt(d * d + r * r) + d * d / np.sqrt(d * d + r * r) - 2.0 * d,
    lambda y, d, r: d * r / np.sqrt(d * d + r * r),
    domain=((0.5, 1.0), (-2.0, 2.0)),
)

# -- exponentials, powers, hypergeometric --------------------------------------------------------

special(
    sp.hyp0f1, SHAPE, lambda y, b, x: sp.hyp0f1(b + 1.0, x) / b, domain=(_POSITIVE, (-2.0, 2.0))
)
special(
    sp.hyp1f1,
    SHAPE,
    SHAPE,
    lambda y, a, b, x: a / b * sp.hyp1f1(a + 1.0, b + 1.0, x),
    domain=(_POSITIVE, _POSITIVE, (-2.0, 2.0)),
)
special(
    sp.hyp2f1,
    SHAPE,
    SHAPE,
    SHAPE,
    lambda y, a, b, c, x: a * b / c * sp.hyp2f1(a + 1.0, b + 1.0, c + 1.0, x),
    domain=(_POSITIVE, _POSITIVE, _POSITIVE, (-0.7, 0.7)),
)


def _exprel_dx(x: Any) -> Any:
    """exprel(x) = 1F1(1; 2; x), whose derivative has no cancellation at 0."""
    return sp.hyp1f1(2.0, 3.0, x) * 0.5


special(sp.exprel, lambda y, x: _exprel_dx(x))
special(sp.expm1, lambda y, x: y + 1.0)
special(sp.log1p, lambda y, x: 1.0 / (1.0 + x), domain=(-0.5, 3.0))
special(sp.exp2, lambda y, x: y * log(2))
special(sp.exp10, lambda y, x: y * log(10))
special(sp.cbrt, lambda y, x: 1.0 / (3.0 * np.square(y)), domain=(0.1, 4.0))
special(sp.cosm1, lambda y, x: -np.sin(x))
special(
    sp.powm1,
    lambda out, x, y: y * (sp.powm1(x, y - 1.0) + 1.0),
    lambda out, x, y: (out + 1.0) * np.log(x),
    domain=((0.3, 2.0), (-2.0, 2.0)),
)
special(
    sp.boxcox,
    lambda y, x, p: np.exp((p - 1.0) * np.log(x)),
    lambda y, x, p: np.square(np.log(x)) * _exprel_dx(p * np.log(x)),
    domain=(_POSITIVE, (-2.0, 2.0)),
)
special(
    sp.boxcox1p,
    lambda y, x, p: np.exp((p - 1.0) * np.log1p(x)),
    lambda y, x, p: np.square(np.log1p(x)) * _exprel_dx(p * np.log1p(x)),
    domain=(_POSITIVE, (-2.0, 2.0)),
)
special(
    sp.expn,
    ORDER,
    lambda y, n, x: where(np.equal(n, 0), -y * (1.0 + 1.0 / x), -sp.expn(np.maximum(n - 1, 0), x)),
    domain=((0.0, 3.0), (0.5, 3.0)),
)
special(sp.exp1, lambda y, x: -np.exp(-x) / x, domain=(0.5, 3.0))
special(sp.expi, lambda y, x: np.exp(x) / x, domain=(0.5, 3.0))
special(sp.spence, lambda y, x: -1.0 / sp.exprel(np.log(x)), domain=(0.3, 3.0))
special(sp.wrightomega, lambda y, x: y / (1.0 + y))
special(sp.ellipk, lambda y, m: pi / 8 * sp.hyp2f1(1.5, 1.5, 2.0, m), domain=(-0.7, 0.7))
special(sp.ellipe, lambda y, m: -pi / 8 * sp.hyp2f1(0.5, 1.5, 2.0, m), domain=(-0.7, 0.7))

_DEGREE = pi / 180
special(sp.sindg, lambda y, x: _DEGREE * sp.cosdg(x))
special(sp.cosdg, lambda y, x: -_DEGREE * sp.sindg(x))
special(sp.tandg, lambda y, x: _DEGREE * (1.0 + np.square(y)))
special(sp.cotdg, lambda y, x: -_DEGREE * (1.0 + np.square(y)), domain=(20.0, 60.0))

# -- ufuncs with two outputs: one op each, as an instruction has one output ----------------------


def _unary_infer(x: Aval) -> Aval:
    return aval(x.shape, as_float(x.dtype))


def _output(name: str, ufunc: np.ufunc, k: int, partial: Partial, domain: Domain) -> Op:
    op = Op(
        name=name,
        kind=Kind.HOST,
        infer=_unary_infer,
        evaluate=lambda x: ufunc(x)[k],
        vjp=partial_vjp((partial,)),
        jvp=partial_jvp((partial,)),
        batch=lambda args, which, size: op(*args),
        domain=(domain,),
        cases=UNARY_CASES,
        doc=f"output {k} of scipy.special.{ufunc.__name__}",
    )
    return declare(op)


def _sinhc(x: Any) -> Any:
    """sinh(x) / x = exp(-x) exprel(2 x)"""
    return np.exp(-x) * sp.exprel(2.0 * x)


sine_integral = _output("sine_integral", sp.sici, 0, lambda y, x: np.sinc(x / pi), (-2.0, 2.0))
cosine_integral = _output("cosine_integral", sp.sici, 1, lambda y, x: np.cos(x) / x, (0.5, 3.0))
sinh_integral = _output("sinh_integral", sp.shichi, 0, lambda y, x: _sinhc(x), (-2.0, 2.0))
cosh_integral = _output("cosh_integral", sp.shichi, 1, lambda y, x: np.cosh(x) / x, (0.5, 3.0))
fresnel_sine = _output(
    "fresnel_sine", sp.fresnel, 0, lambda y, x: np.sin(pi / 2 * np.square(x)), (-2.0, 2.0)
)
fresnel_cosine = _output(
    "fresnel_cosine", sp.fresnel, 1, lambda y, x: np.cos(pi / 2 * np.square(x)), (-2.0, 2.0)
)

# Ai, Ai', Bi, Bi': each pair solves y'' = x y (DLMF 9.2.1)
airy_ai: Op = _output("airy_ai", sp.airy, 0, lambda y, x: airy_ai_slope(x), (-2.0, 1.0))
airy_ai_slope: Op = _output("airy_ai_slope", sp.airy, 1, lambda y, x: x * airy_ai(x), (-2.0, 1.0))
airy_bi: Op = _output("airy_bi", sp.airy, 2, lambda y, x: airy_bi_slope(x), (-2.0, 1.0))
airy_bi_slope: Op = _output("airy_bi_slope", sp.airy, 3, lambda y, x: x * airy_bi(x), (-2.0, 1.0))
