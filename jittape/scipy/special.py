"""scipy.special on traced and concrete arrays.

SciPy's ufuncs (erf, gammaln, jv, ...) record themselves and are passed on as they are. What SciPy
writes in Python converts its arguments to arrays first and so never meets a tracer: it is
written anew here, with SciPy's signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma, pi
from typing import Any

import numpy as np
import scipy.special as sp

from jittape.errors import TraceError
from jittape.ops import special as ops
from jittape.ops.declare import Case
from jittape.ops.gamma import zeta as zeta_op
from jittape.ops.quantile_functions import lambert_w
from jittape.ops.stop import stop
from jittape.tracing.dispatch import implements, index_table
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer, as_operand

index_table()


def __getattr__(name: str) -> Any:
    found = getattr(sp, name)
    if isinstance(found, np.ufunc) or not callable(found) or isinstance(found, type):
        return found
    return _concrete_only(found)


def _concrete_only(function: Callable) -> Callable:
    """A function of SciPy's that works on arrays only."""

    def call(*args: Any, **kwargs: Any) -> Any:
        for x in (*args, *kwargs.values()):
            if isinstance(x, Tracer):
                raise TraceError(
                    f"{here()}: scipy.special.{function.__name__} is not recorded by jittape; "
                    "wrap it in jittape.custom_vjp with its derivative, or pass "
                    "jittape.stop_gradient(x) values outside the differentiated function"
                )
        return function(*args, **kwargs)

    call.__name__ = function.__name__
    call.__doc__ = function.__doc__
    return call


def _listed(**about: Any) -> Callable[[Callable], Callable]:
    """Decorator: the function joins the table of what is recorded, under itself."""
    return lambda run: implements(run, **about)(run)


def _operands(*xs: Any) -> tuple[list[Any], bool]:
    """The arguments as operands, and whether one of them is a tracer."""
    operands = [x if x is None else as_operand(x) for x in xs]
    return operands, any(isinstance(x, Tracer) for x in operands)


@_listed(
    cases=(
        Case(((2, 3),)),
        Case(((2, 3),), {"axis": 1}),
        Case(((2, 3),), {"axis": 0, "keepdims": True, "b": np.array([[1.0], [2.0]])}),
    ),
    kinks="the gradient is 0 where the sum is 0, as that of all -inf",
)
def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """log(sum(b * exp(a))) over `axis`, without overflow. As scipy.special.logsumexp.

    a, b: arrays that broadcast against each other. Returns an array without the reduced axes,
    or (log |sum|, sign) with return_sign. The gradient where the sum is 0 (all a -inf) is 0.
    """
    (a, b), traced = _operands(a, b)
    if not traced:
        return sp.logsumexp(a, axis=axis, b=b, keepdims=keepdims, return_sign=return_sign)
    if b is not None:
        a = np.where(b == 0, -np.inf, a)
    # any shift will do, so that none flows through it
    top = _stopped(np.max(a, axis=axis, keepdims=True))
    top = np.where(np.isfinite(top), top, 0.0)
    terms = np.exp(a - top)
    if b is not None:
        terms = b * terms
    s = np.sum(terms, axis=axis, keepdims=keepdims)
    sign = None
    if return_sign:
        sign = np.sign(s)
        s = np.abs(s)
    null = s == 0
    top = np.reshape(top, s.shape)
    out = np.where(null, -np.inf, np.log(np.where(null, 1.0, s)) + top)
    return (out, sign) if return_sign else out


def _stopped(x: Any) -> Any:
    return stop(x) if isinstance(x, Tracer) else x


@_listed(cases=(Case(((2, 3),)), Case(((2, 3),), {"axis": 1})))
def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / sum(exp(x)) over `axis`, without overflow. As scipy.special.softmax."""
    (x,), traced = _operands(x)
    if not traced:
        return sp.softmax(x, axis=axis)
    e = np.exp(x - _stopped(np.max(x, axis=axis, keepdims=True)))
    return e / np.sum(e, axis=axis, keepdims=True)


@_listed(cases=(Case(((2, 3),)), Case(((2, 3),), {"axis": 1})))
def log_softmax(x: Any, axis: Any = None) -> Any:
    """log(softmax(x)), without overflow. As scipy.special.log_softmax."""
    (x,), traced = _operands(x)
    if not traced:
        return sp.log_softmax(x, axis=axis)
    shifted = x - _stopped(np.max(x, axis=axis, keepdims=True))
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@_listed(cases=(Case(((3,), 2)),), domain=(2.0, 5.0))
def multigammaln(a: Any, d: int) -> Any:
    """Logarithm of the multivariate gamma function of dimension d. As scipy.special's."""
    (a,), traced = _operands(a)
    if not traced:
        return sp.multigammaln(a, d)
    total: Any = d * (d - 1) * 0.25 * np.log(pi)  # a float64, as SciPy has it
    for j in range(1, d + 1):
        total = total + sp.gammaln(a - (j - 1.0) / 2)
    return total


@_listed(cases=(Case((0, (3,))), Case((2, (3,)))), domain=(0.3, 4.0))
def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative of digamma at x; n is a constant. As scipy.special.polygamma."""
    (x,), traced = _operands(x)
    if not traced:
        return sp.polygamma(n, x)
    n = int(n)
    if n == 0:
        return sp.psi(x)
    return (-1.0) ** (n + 1) * np.exp(lgamma(n + 1.0)) * zeta_op(n + 1.0, x)


@_listed(cases=(Case((3, (3,))),), domain=(0.3, 4.0))
def zeta(x: Any, q: Any = None, out: Any = None) -> Any:
    """Hurwitz zeta function; differentiable in q. As scipy.special.zeta."""
    (x, q), traced = _operands(x, q)
    if not traced:
        return sp.zeta(x, q, out)
    return zeta_op(x, 1.0 if q is None else q)


@_listed(cases=(Case(((3,),)),))
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow. As scipy.special.softplus."""
    return np.logaddexp(0.0, x)


@implements(sp.sici, cases=(Case(((3,),)),), domain=(0.5, 3.0))
def sici(x: Any) -> tuple[Any, Any]:
    """Sine and cosine integrals (Si, Ci). As scipy.special.sici."""
    (x,), _ = _operands(x)
    return ops.sine_integral(x), ops.cosine_integral(x)


@implements(sp.shichi, cases=(Case(((3,),)),), domain=(0.5, 3.0))
def shichi(x: Any) -> tuple[Any, Any]:
    """Hyperbolic sine and cosine integrals (Shi, Chi). As scipy.special.shichi."""
    (x,), _ = _operands(x)
    return ops.sinh_integral(x), ops.cosh_integral(x)


@implements(sp.fresnel, cases=(Case(((3,),)),))
def fresnel(z: Any) -> tuple[Any, Any]:
    """Fresnel integrals (S, C). As scipy.special.fresnel."""
    (z,), _ = _operands(z)
    return ops.fresnel_sine(z), ops.fresnel_cosine(z)


@implements(sp.airy, cases=(Case(((3,),)),))
def airy(z: Any) -> tuple[Any, Any, Any, Any]:
    """Airy functions (Ai, Ai', Bi, Bi') of real numbers. As scipy.special.airy."""
    (z,), _ = _operands(z)
    if z.dtype.kind == "c":
        raise TraceError(f"{here()}: scipy.special.airy of complex numbers is not recorded")
    return ops.airy_ai(z), ops.airy_ai_slope(z), ops.airy_bi(z), ops.airy_bi_slope(z)


@implements(sp.voigt_profile, cases=(Case(((3,), 0.5, 0.7)),), domain=(0.3, 2.0))
def voigt_profile(x: Any, sigma: Any, gamma: Any) -> Any:
    """Re w(z) / (sigma sqrt(2 pi)), z = (x + i gamma) / (sigma sqrt(2)) (DLMF 7.19); sigma > 0.
    As scipy.special.voigt_profile."""
    scale = sigma * np.sqrt(2.0)
    return np.real(sp.wofz((x + 1j * gamma) / scale)) / (scale * np.sqrt(pi))


def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    """gamma(n + 1), and 0 of negative numbers. As scipy.special.factorial."""
    (n,), traced = _operands(n)
    if not traced:
        return sp.factorial(n, exact=exact)
    if exact or extend != "zero":
        raise TraceError(f"{here()}: factorial with exact= or extend= is not recorded")
    inside = n >= 0
    y = np.where(inside, sp.gamma(np.where(inside, n, 0.0) + 1.0), 0.0)
    return y.astype(np.float64) if y.ndim else y  # (SciPy fills doubles, except by numbers)


def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """Binomial coefficients, 0 where not 0 <= k <= N. As scipy.special.comb."""
    (N, k), traced = _operands(N, k)
    if not traced:
        return sp.comb(N, k, exact=exact, repetition=repetition)
    if exact:
        raise TraceError(f"{here()}: comb with exact=True is not recorded; leave it out")
    if repetition:
        return comb(N + k - 1, k)
    inside = (k <= N) & (N >= 0) & (k >= 0)
    return np.where(inside, sp.binom(np.where(inside, N, 1.0), np.where(inside, k, 0.0)), 0.0)


def perm(N: Any, k: Any, exact: bool = False) -> Any:
    """Numbers of arrangements, 0 where not 0 <= k <= N. As scipy.special.perm."""
    (N, k), traced = _operands(N, k)
    if not traced:
        return sp.perm(N, k, exact=exact)
    if exact:
        raise TraceError(f"{here()}: perm with exact=True is not recorded; leave it out")
    inside = (k <= N) & (N >= 0) & (k >= 0)
    first = np.where(inside, N - k + 1.0, 1.0)
    return np.where(inside, sp.poch(first, np.where(inside, k, 0.0)), 0.0)


def lambertw(z: Any, k: Any = 0, tol: float = 1e-8) -> Any:
    """Branch k, an integer, of Lambert's W. As scipy.special.lambertw."""
    (z,), _ = _operands(z)
    return lambert_w(z, k=int(k))


def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, *, diff_n: int = 0) -> Any:
    """Spherical harmonics by associated Legendre functions (DLMF 14.30.1); n and m are constants.
    As scipy.special.sph_harm_y. The derivative by theta is NaN at the poles."""
    (theta, phi), _ = _operands(theta, phi)
    if diff_n:
        raise TraceError(f"{here()}: sph_harm_y with diff_n= is not recorded")
    size = np.abs(m)
    scale = np.sqrt(
        (2 * n + 1) / (4 * pi) * np.exp(sp.gammaln(n - size + 1) - sp.gammaln(n + size + 1))
    )
    y = scale * sp.lpmv(size, n, np.cos(theta)) * np.exp(1j * size * phi)
    other = np.where(size % 2 == 1, -1.0, 1.0) * np.conjugate(y)
    return np.where(np.asarray(m) < 0, other, y)
