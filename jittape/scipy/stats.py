"""scipy.stats on tracers: densities and distribution functions of the univariate distributions.

The public methods of SciPy's distributions turn their arguments into arrays, choose the elements
that lie in the support, and call a private method with the formula (`_logpdf`, `_cdf`, ...), most
of which are plain ufuncs. While a trace is open the public ones are replaced by the same in terms
of np.where. Formulas that look at values or need plain arrays raise TraceError as anywhere else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats as st
from scipy.special import _ufuncs

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.scipy.special import logsumexp
from jittape.tracing.recorder import here, open_traces
from jittape.tracing.tracer import Tracer, cast, number_of
from jittape.types import aval_of

_INF = np.inf


def _valid(dist: Any, args: list, scale: Any) -> Any:
    """Where the parameters are ones of this distribution."""
    conditions = [np.greater(scale, 0)]
    if type(dist)._argcheck is st.rv_continuous._argcheck:
        conditions += [np.greater(a, 0) for a in args]
    else:
        conditions.append(dist._argcheck(*args))
    return functools.reduce(np.logical_and, conditions)


def _traced(x: Any) -> Any:
    """x as a tracer: the formulas may index it by conditions that are traced."""
    if isinstance(x, Tracer):
        return x
    trace, value = open_traces()[-1], np.asarray(x)
    if value.dtype.kind in "iub":
        value = value.astype(np.float64)
    return Tracer(trace, number_of(trace, value), aval_of(value), value[()])


def _formula(dist: Any, name: str, x: Any, shapes: list) -> Any:
    """The private method with the formula. SciPy gives it arguments of one shape, which most
    formulas do not need; those that walk over the elements side by side do."""
    run = getattr(dist, f"_{name}")
    value = run(x, *shapes)
    whole = np.broadcast_shapes(x.shape, *[a.shape for a in shapes])
    if np.shape(value) != whole:
        value = run(*[np.broadcast_to(a, whole) for a in (x, *shapes)])
    if np.shape(value) not in ((), whole):
        raise TraceError(
            f"{here()}: the {name} of {dist.name} gives shape {np.shape(value)} for {whole}, and "
            "is not recorded; wrap it in jittape.custom_vjp"
        )
    return value


def _continuous(name: str, below: float, above: float, scaled: Callable) -> Callable:
    """The method `name`: its value below and above the support, and how the scale enters."""

    def method(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        shapes, loc, scale = self._parse_args(*args, **kwargs)
        y, *shapes = [_traced(a) for a in ((x - loc) / scale, *shapes)]
        if y.dtype.kind == "f":  # SciPy's formulas see double precision
            y = cast(y, np.promote_types(y.dtype, np.float64))
        low, high = self._get_support(*shapes)
        inside = np.logical_and(np.less_equal(low, y), np.less_equal(y, high))
        outside = np.where(np.less(y, low), below, np.where(np.greater(y, high), above, np.nan))
        value = np.where(inside, scaled(_formula(self, name, y, shapes), scale), outside)
        return np.where(_valid(self, shapes, scale), value, np.nan)

    return method


def _discrete(name: str, outside: float) -> Callable:
    def method(self: Any, k: Any, *args: Any, **kwargs: Any) -> Any:
        shapes, loc, _ = self._parse_args(*args, **kwargs)
        k, *shapes = [_traced(a) for a in (k - loc, *shapes)]
        low, high = self._get_support(*shapes)
        inside = np.logical_and(np.less_equal(low, k), np.less_equal(k, high))
        inside = np.logical_and(inside, np.equal(np.floor(k), k))
        value = np.where(inside, _formula(self, name, k, shapes), outside)
        return np.where(_valid(self, shapes, 1), value, np.nan)

    return method


logpdf = _continuous("logpdf", -_INF, -_INF, lambda v, s: v - np.log(s))
pdf = _continuous("pdf", 0.0, 0.0, lambda v, s: v / s)
cdf = _continuous("cdf", 0.0, 1.0, lambda v, s: v)
logcdf = _continuous("logcdf", -_INF, 0.0, lambda v, s: v)
sf = _continuous("sf", 1.0, 0.0, lambda v, s: v)
logsf = _continuous("logsf", 0.0, -_INF, lambda v, s: v)
logpmf = _discrete("logpmf", -_INF)
pmf = _discrete("pmf", 0.0)


def skewnorm_cdf(self: Any, x: Any, a: Any) -> Any:
    """SciPy's, without the integrals that it takes for probabilities below 1e-6."""
    return np.clip(_ufuncs._skewnorm_cdf(x, 0.0, 1.0, a), 0.0, 1.0)


def kde_log(self: Any, points: Any) -> Any:
    """log density of a gaussian_kde at points (d, m), or (m,) for d = 1; they, the samples, their
    weights and the bandwidth may be traced."""
    points = np.atleast_2d(as_array(points))
    if points.shape[0] != self.d:
        if points.shape != (1, self.d):
            raise ValueError(f"points have dimension {points.shape[0]}, dataset has {self.d}")
        points = np.transpose(points)
    whiten = np.linalg.inv(np.linalg.cholesky(self.covariance))
    at, data = np.matmul(whiten, points), np.matmul(whiten, self.dataset)
    distance = np.sum(np.square(at[:, :, None] - data[:, None, :]), axis=0)
    scale = 0.5 * np.linalg.slogdet(2 * np.pi * as_array(self.covariance))[1]
    return logsumexp(-0.5 * distance, axis=1, b=as_array(self.weights)) - scale


def kde(self: Any, points: Any) -> Any:
    """The density of which that is the logarithm."""
    return np.exp(kde_log(self, points))
