"""Distribution functions, their inverses, and other functions of scipy.special that statistics is
written with.

An inverse x(p) of F has dx/dp = 1 / F'(x). Formulas of the densities: DLMF 8.17 and 8.8; those of
the noncentral chi-square and skew normal distributions: Johnson, Kotz and Balakrishnan, chapters 29
and 13; of Lambert's W: DLMF 4.13; of elliptic integrals: DLMF 19.4; of w(z): DLMF 7.10.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np
import scipy.special as sp
from scipy.special import _ufuncs

from jittape.ops.declare import Case, Kind, Op, declare
from jittape.ops.elementwise import where
from jittape.ops.scipy_ufunc import SHAPE, special
from jittape.types import aval

_P = (0.1, 0.9)
_POSITIVE = (0.3, 4.0)
_HALF = (0.5, 2.0)


def _private(name: str, *partials: Any, **about: Any) -> None:
    """A ufunc that only some versions of SciPy have."""
    f = getattr(_ufuncs, name, None)
    if f is not None and f.nin == len(partials):
        special(f, *partials, **about)


# -- counts --------------------------------------------------------------------------------------


def _binomial(k: Any, n: Any, p: Any) -> Any:
    """n C(n-1, k) p^k (1-p)^(n-k-1): what moving p adds to more than k successes."""
    k = np.floor(k)
    return np.exp(sp.xlogy(k, p) + sp.xlog1py(n - k - 1.0, -p) - sp.betaln(k + 1.0, n - k))


_COUNTS = ((0.5, 1.5), (4.0, 5.0), _P)
for _f, _sign in ((sp.bdtr, -1.0), (sp.bdtrc, 1.0)):
    special(_f, SHAPE, SHAPE, lambda y, k, n, p, s=_sign: s * _binomial(k, n, p), domain=_COUNTS)
_private("_binom_cdf", SHAPE, SHAPE, lambda y, k, n, p: -_binomial(k, n, p), domain=_COUNTS)
_private("_binom_sf", SHAPE, SHAPE, lambda y, k, n, p: _binomial(k, n, p), domain=_COUNTS)
_private(
    "_binom_pmf",
    SHAPE,
    SHAPE,
    lambda y, k, n, p: where(
        np.equal(k, 0), -n * np.exp(sp.xlog1py(n - 1.0, -p)), y * (k / p - (n - k) / (1.0 - p))
    ),
    domain=_COUNTS,
)


def _negative_binomial(k: Any, n: Any, p: Any) -> Any:
    k = np.floor(k)
    return np.exp(sp.xlogy(n - 1.0, p) + sp.xlog1py(k, -p) - sp.betaln(n, k + 1.0))


_FAILURES = ((0.5, 2.5), (2.0, 4.0), _P)
special(sp.nbdtr, SHAPE, SHAPE, lambda y, k, n, p: _negative_binomial(k, n, p), domain=_FAILURES)
_private("_nbinom_cdf", SHAPE, SHAPE, lambda y, k, n, p: _negative_binomial(k, n, p),
         domain=_FAILURES)  # fmt: skip
_private("_nbinom_sf", SHAPE, SHAPE, lambda y, k, n, p: -_negative_binomial(k, n, p),
         domain=_FAILURES)  # fmt: skip
_private("_nbinom_pmf", SHAPE, SHAPE, lambda y, k, n, p: y * (n / p - k / (1.0 - p)),
         domain=_FAILURES)  # fmt: skip

# -- gamma, beta, t, F ---------------------------------------------------------------------------


def _gamma_density(a: Any, x: Any) -> Any:
    return np.exp(sp.xlogy(a - 1.0, x) - x - sp.gammaln(a))


special(
    sp.gdtr,
    lambda y, a, b, x: x * _gamma_density(b, a * x),
    SHAPE,
    lambda y, a, b, x: a * _gamma_density(b, a * x),
    domain=_HALF,
)
special(
    sp.gdtrc,
    lambda y, a, b, x: -x * _gamma_density(b, a * x),
    SHAPE,
    lambda y, a, b, x: -a * _gamma_density(b, a * x),
    domain=_HALF,
)
special(
    sp.chdtri,
    SHAPE,
    lambda y, v, p: -2.0 / _gamma_density(v * 0.5, y * 0.5),
    domain=(_POSITIVE, _P),
)


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return np.exp(sp.xlogy(a - 1.0, x) + sp.xlog1py(b - 1.0, -x) - sp.betaln(a, b))


_private(
    "_beta_ppf", lambda y, q, a, b: 1.0 / _beta_density(a, b, y), SHAPE, SHAPE,
    domain=(_P, _POSITIVE, _POSITIVE),
)  # fmt: skip


def _t_density(v: Any, t: Any) -> Any:
    shape = np.exp(sp.gammaln((v + 1.0) * 0.5) - sp.gammaln(v * 0.5)) / np.sqrt(v * pi)
    return shape * np.exp(-(v + 1.0) * 0.5 * np.log1p(t * t / v))


special(sp.stdtrit, SHAPE, lambda y, v, p: 1.0 / _t_density(v, y), domain=(_POSITIVE, _P))


def _f_density(m: Any, n: Any, x: Any) -> Any:
    # with z = m x / (m x + n), dz/dx = m n / (m x + n)^2
    total = m * x + n
    return _beta_density(m * 0.5, n * 0.5, m * x / total) * m * n / (total * total)


special(
    sp.fdtri,
    SHAPE,
    SHAPE,
    lambda y, m, n, p: 1.0 / _f_density(m, n, y),
    domain=(_POSITIVE, _POSITIVE, _P),
)

# -- noncentral chi-square, skew normal, Cauchy --------------------------------------------------

_NONCENTRAL = ((1.0, 4.0), (2.5, 4.0), (0.5, 2.0))
_density = getattr(_ufuncs, "_ncx2_pdf", None)
if _density is not None:
    special(
        _density,
        # by I_v' = I_(v+1) + v / z I_v, DLMF 10.29.2
        lambda y, x, k, c: y * ((0.5 * k - 1.0) / x - 0.5) + 0.5 * c / x * _density(x, k + 2.0, c),
        SHAPE,
        lambda y, x, k, c: 0.5 * (_density(x, k + 2.0, c) - y),
        domain=_NONCENTRAL,
    )
    special(
        sp.chndtr,
        lambda y, x, k, c: _density(x, k, c),
        SHAPE,
        lambda y, x, k, c: 0.5 * (sp.chndtr(x, k + 2.0, c) - y),
        domain=_NONCENTRAL,
    )
    _private(
        "_ncx2_cdf",
        lambda y, x, k, c: _density(x, k, c),
        SHAPE,
        lambda y, x, k, c: -_density(x, k + 2.0, c),
        domain=_NONCENTRAL,
    )
    _private(
        "_ncx2_sf",
        lambda y, x, k, c: -_density(x, k, c),
        SHAPE,
        lambda y, x, k, c: _density(x, k + 2.0, c),
        domain=_NONCENTRAL,
    )


def _skew_density(z: Any, a: Any) -> Any:
    return 2.0 / sqrt(2 * pi) * np.exp(-0.5 * z * z) * sp.ndtr(a * z)


_private(
    "_skewnorm_cdf",
    lambda y, x, m, s, a: _skew_density((x - m) / s, a) / s,
    lambda y, x, m, s, a: -_skew_density((x - m) / s, a) / s,
    lambda y, x, m, s, a: -_skew_density((x - m) / s, a) * (x - m) / (s * s),
    lambda y, x, m, s, a: (
        -np.exp(-0.5 * np.square((x - m) / s) * (1.0 + a * a)) / (pi * (1.0 + a * a))
    ),
    domain=((-1.0, 2.0), (-0.5, 0.5), (0.5, 2.0), (-1.0, 2.0)),
)
_private(
    "_cauchy_ppf",
    lambda y, p, m, s: pi * s * (1.0 + np.square((y - m) / s)),
    lambda y, p, m, s: 1.0,
    lambda y, p, m, s: (y - m) / s,
    domain=(_P, (-1.0, 1.0), _HALF),
)

_private(
    "_cauchy_isf",
    lambda y, p, m, s: -pi * s * (1.0 + np.square((y - m) / s)),
    lambda y, p, m, s: 1.0,
    lambda y, p, m, s: (y - m) / s,
    domain=(_P, (-1.0, 1.0), _HALF),
)

# -- inverses of powers, Lambert's W, w(z), elliptic integrals -----------------------------------


def _slope(q: Any) -> Any:
    """The derivative of exprel."""
    return sp.hyp1f1(2.0, 3.0, q) * 0.5


# x = inv_boxcox(y, p) solves boxcox(x, p) = y, whose partials are x^(p-1) and
# log(x)^2 exprel'(p log x)
special(
    sp.inv_boxcox,
    lambda x, y, p: np.exp((1.0 - p) * np.log(x)),
    lambda x, y, p: -np.square(np.log(x)) * _slope(p * np.log(x)) * np.exp((1.0 - p) * np.log(x)),
    domain=((0.1, 1.0), (0.2, 1.0)),
)
special(
    sp.inv_boxcox1p,
    lambda x, y, p: np.exp((1.0 - p) * np.log1p(x)),
    lambda x, y, p: (
        -np.square(np.log1p(x)) * _slope(p * np.log1p(x)) * np.exp((1.0 - p) * np.log1p(x))
    ),
    domain=((0.1, 1.0), (0.2, 1.0)),
)


def _lambert_slope(g: Any, w: Any) -> Any:
    return g * np.exp(-w) / (1.0 + w)


def _lambert(z: Any, k: int) -> Any:
    run = getattr(sp.lambertw, "original", sp.lambertw)  # (a stand-in while a trace is open)
    return run(z, k).astype(np.result_type(z, np.complex64), copy=False)


lambert_w: Op = declare(
    Op(
        name="lambert_w",
        kind=Kind.HOST,
        infer=lambda z, k: aval(z.shape, np.result_type(z.dtype, np.complex64)),
        evaluate=_lambert,
        params=("k",),
        vjp=lambda g, out, z, k: (_lambert_slope(g, out),),
        jvp=lambda tangents, out, z, k: _lambert_slope(tangents[0], out),
        batch=lambda args, which, size, k: lambert_w(*args, k=k),
        domain=((0.5, 2.0),),
        cases=(Case(((3,),), {"k": 0}), Case(((2,),), {"k": 1}, name="another branch")),
        doc="branch k of Lambert's W, complex: scipy.special.lambertw",
    )
)
special(sp.wofz, lambda w, z: -2.0 * z * w + 2.0j / sqrt(pi))


def _width(m: Any, phi: Any) -> Any:
    return np.sqrt(1.0 - m * np.square(np.sin(phi)))


special(
    sp.ellipkinc,
    lambda f, phi, m: 1.0 / _width(m, phi),
    lambda f, phi, m: (
        (sp.ellipeinc(phi, m) / (1.0 - m) - f) / (2.0 * m)
        - np.sin(2.0 * phi) / (4.0 * (1.0 - m) * _width(m, phi))
    ),
    domain=((0.2, 1.3), (0.1, 0.8)),
    kinks="by m: NaN at m = 0",
)
special(
    sp.ellipeinc,
    lambda e, phi, m: _width(m, phi),
    lambda e, phi, m: (e - sp.ellipkinc(phi, m)) / (2.0 * m),
    domain=((0.2, 1.3), (0.1, 0.8)),
    kinks="by m: NaN at m = 0",
)
special(sp.ellipkm1, lambda y, p: -pi / 8 * sp.hyp2f1(1.5, 1.5, 2.0, 1.0 - p), domain=(0.4, 0.9))
