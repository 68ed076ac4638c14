"""The gamma and beta families of scipy.special. Formulas: DLMF, chapters 5, 8 and 25."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import scipy.special as sp

from jittape.ops.declare import Case, Kind, Op, Refused, declare
from jittape.ops.elementwise import elementwise, partial_jvp, partial_vjp, where
from jittape.ops.scipy_ufunc import CONSTANT, ORDER, SHAPE, Partial, as_float, special
from jittape.ops.shape import reshape
from jittape.types import Aval, aval

# -- gamma family --------------------------------------------------------------------------------

_zeta = sp._ufuncs._zeta
_POSITIVE = (0.3, 4.0)

zeta = special(_zeta, ORDER, lambda y, s, q: -s * _zeta(s + 1.0, q), domain=((2.0, 4.0), _POSITIVE))
special(sp.psi, lambda y, x: _zeta(2.0, x), domain=_POSITIVE)
special(sp.gammaln, lambda y, x: sp.psi(x), domain=_POSITIVE)
special(sp.loggamma, lambda y, x: sp.psi(x), domain=_POSITIVE)
special(sp.gamma, lambda y, x: y * sp.psi(x), domain=_POSITIVE)
special(
    sp.rgamma,
    # at the poles of gamma: (-1)^n n!
    lambda y, x: where(np.equal(y, 0.0), np.cos(pi * x) * sp.gamma(1.0 - x), -y * sp.psi(x)),
    domain=_POSITIVE,
)
special(
    sp.beta,
    lambda y, a, b: y * (sp.psi(a) - sp.psi(a + b)),
    lambda y, a, b: y * (sp.psi(b) - sp.psi(a + b)),
    domain=_POSITIVE,
)
special(
    sp.betaln,
    lambda y, a, b: sp.psi(a) - sp.psi(a + b),
    lambda y, a, b: sp.psi(b) - sp.psi(a + b),
    domain=_POSITIVE,
)
special(
    sp.poch,
    lambda y, z, m: y * (sp.psi(z + m) - sp.psi(z)),
    lambda y, z, m: y * sp.psi(z + m),
    domain=_POSITIVE,
)
special(
    sp.binom,
    lambda y, n, k: y * (sp.psi(n + 1.0) - sp.psi(n - k + 1.0)),
    lambda y, n, k: y * (sp.psi(n - k + 1.0) - sp.psi(k + 1.0)),
    domain=((4.2, 6.0), (0.3, 3.0)),
)


def _gamma_density(a: Any, x: Any) -> Any:
    """d/dx of the regularised incomplete gamma function P(a, x)."""
    return np.exp(sp.xlogy(a - 1.0, x) - x - sp.gammaln(a))


def _gammainc_da(a: Any, x: Any, order: int) -> Any:
    """The derivatives of P(a, x) in a, from DLMF 8.7.1 term by term: P is the sum of
    w_n = x^(a+n) e^-x / Gamma(a+n+1), and w_n' = w_n L, L = log x - psi(a+n+1).
    The w_n are those of a Poisson distribution: all but about 24 sqrt(x) are below rounding error.
    """
    dtype = as_float(np.result_type(a, x))
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    spread = 12 * np.sqrt(x + a) + 60
    start = np.maximum(np.floor(x - a - spread), 0)
    count = np.maximum(x - a + spread, 60) - start
    total = np.zeros(x.shape)
    finite = np.isfinite(count) & (x > 0)
    logx = np.log(x, where=finite, out=np.zeros(x.shape))
    for n in range(int(np.max(count, where=finite, initial=0))):
        k = a + start + n
        slope = logx - sp.psi(k + 1)
        factor = slope if order == 1 else slope**2 - sp.polygamma(1, k + 1)
        total += np.exp(k * logx - x - sp.gammaln(k + 1)) * factor
    total = np.where(finite, total, np.where((x == 0) | np.isinf(x), 0.0, np.nan))
    return total.astype(dtype)[()]


def _gammainc_da_partials(order: int) -> tuple[Partial, Partial]:
    if order == 1:
        return (
            lambda y, a, x: gammainc_da(a, x, order=2),
            lambda y, a, x: _gamma_density(a, x) * (np.log(x) - sp.psi(a)),
        )
    return (
        Refused("the third derivative with respect to a is not offered"),
        lambda y, a, x: _gamma_density(a, x) * (np.square(np.log(x) - sp.psi(a)) - _zeta(2.0, a)),
    )


def _pair_infer(a: Aval, x: Aval, order: int) -> Aval:
    dtype = as_float(np.result_type(a.dtype, x.dtype))
    return aval(np.broadcast_shapes(a.shape, x.shape), dtype)


def _aligned(args: list[Any], which: tuple[bool, ...], size: int, **params: Any) -> Any:
    """Batch rule of an elementwise op that runs on the host."""
    rank = max([x.ndim - b for x, b in zip(args, which, strict=True)])
    out = []
    for x, b in zip(args, which, strict=True):
        if b and x.ndim <= rank:
            x = reshape(x, shape=(size, *(1,) * (rank + 1 - x.ndim), *x.shape[1:]))
        out.append(x)
    return out


gammainc_da: Op = declare(
    Op(
        name="gammainc_da",
        kind=Kind.HOST,
        infer=_pair_infer,
        evaluate=_gammainc_da,
        params=("order",),
        vjp=lambda g, y, a, x, order: partial_vjp(_gammainc_da_partials(order))(g, y, a, x),
        jvp=lambda t, y, a, x, order: partial_jvp(_gammainc_da_partials(order))(t, y, a, x),
        batch=lambda args, which, size, order: gammainc_da(
            *_aligned(args, which, size), order=order
        ),
        domain=(_POSITIVE, _POSITIVE),
        cases=(Case((CONSTANT, (3,)), {"order": 1}), Case((CONSTANT, (3,)), {"order": 2})),
        doc="d/da (or d2/da2) of scipy.special.gammainc: absolute error 1e-13, cost like sqrt(x)",
    )
)
special(
    sp.gammainc,
    lambda y, a, x: gammainc_da(a, x, order=1),
    lambda y, a, x: _gamma_density(a, x),
    domain=_POSITIVE,
)
special(
    sp.gammaincc,
    lambda y, a, x: -gammainc_da(a, x, order=1),
    lambda y, a, x: -_gamma_density(a, x),
    domain=_POSITIVE,
)
special(
    sp.gammaincinv,
    lambda y, a, p: -gammainc_da(a, y, order=1) / _gamma_density(a, y),
    lambda y, a, p: 1.0 / _gamma_density(a, y),
    domain=(_POSITIVE, (0.1, 0.9)),
)
special(
    sp.gammainccinv,
    lambda y, a, p: -gammainc_da(a, y, order=1) / _gamma_density(a, y),
    lambda y, a, p: -1.0 / _gamma_density(a, y),
    domain=(_POSITIVE, (0.1, 0.9)),
)


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """d/dx of the regularised incomplete beta function I_x(a, b)."""
    return np.exp(sp.xlogy(a - 1.0, x) + sp.xlog1py(b - 1.0, -x) - sp.betaln(a, b))


_UNIT = (_POSITIVE, _POSITIVE, (0.1, 0.9))
special(sp.betainc, SHAPE, SHAPE, lambda y, a, b, x: _beta_density(a, b, x), domain=_UNIT)
special(sp.betaincc, SHAPE, SHAPE, lambda y, a, b, x: -_beta_density(a, b, x), domain=_UNIT)
special(sp.betaincinv, SHAPE, SHAPE, lambda y, a, b, p: 1.0 / _beta_density(a, b, y), domain=_UNIT)


special(
    sp.stdtr,
    SHAPE,
    lambda y, n, t: (
        np.exp(
            sp.gammaln((n + 1.0) * 0.5)
            - sp.gammaln(n * 0.5)
            - np.log(np.square(t) / n + 1.0) * ((n + 1.0) * 0.5)
        )
        / np.sqrt(pi * n)
    ),
)

# -- distribution functions: the above in other variables ----------------------------------------

_CHI2 = (
    lambda v, x: gammainc_da(v * 0.5, x * 0.5, order=1) * 0.5,
    lambda v, x: _gamma_density(v * 0.5, x * 0.5) * 0.5,
)
special(sp.chdtr, *[lambda y, v, x, p=p: p(v, x) for p in _CHI2], domain=_POSITIVE)
special(sp.chdtrc, *[lambda y, v, x, p=p: -p(v, x) for p in _CHI2], domain=_POSITIVE)


def _f_density(a: Any, b: Any, x: Any) -> Any:
    """d/dx of the F distribution function, which is I_u(a/2, b/2) at u = a x / (a x + b)."""
    whole = a * x + b
    return _beta_density(a * 0.5, b * 0.5, a * x / whole) * a * b / np.square(whole)


special(sp.fdtr, SHAPE, SHAPE, lambda y, a, b, x: _f_density(a, b, x), domain=_POSITIVE)
special(sp.fdtrc, SHAPE, SHAPE, lambda y, a, b, x: -_f_density(a, b, x), domain=_POSITIVE)


def _poisson(k: Any, m: Any) -> Any:
    """-d/dm of the Poisson distribution function: the probability of floor(k)."""
    k = np.floor(k)
    return np.exp(k * np.log(m) - m - sp.gammaln(k + 1.0))


_COUNT = ((0.1, 3.9), (0.5, 3.0))
special(sp.pdtr, None, lambda y, k, m: -_poisson(k, m), domain=_COUNT)
special(sp.pdtrc, None, lambda y, k, m: _poisson(k, m), domain=_COUNT)
elementwise(sp.gammasgn)

# scipy.stats.beta.pdf, a private ufunc of scipy.special in SciPy 1.10 and later
_beta_pdf = getattr(sp._ufuncs, "_beta_pdf", None)
if _beta_pdf is not None:
    special(
        _beta_pdf,
        lambda y, x, a, b: y * ((a - 1.0) / x - (b - 1.0) / (1.0 - x)),
        lambda y, x, a, b: y * (np.log(x) - sp.digamma(a) + sp.digamma(a + b)),
        lambda y, x, a, b: y * (np.log1p(-x) - sp.digamma(b) + sp.digamma(a + b)),
        domain=((0.1, 0.9), (0.5, 3.0), (0.5, 3.0)),
    )
