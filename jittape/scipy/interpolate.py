"""scipy.interpolate on tracers: evaluation of piecewise polynomials and splines, and interpolants
of traced values.

An interpolant that is linear in its values (CubicSpline, make_interp_spline, interp1d) is made once
of the unit vectors, so that its coefficients are a product with the traced values. Points at which
one evaluates may be traced everywhere; the places of knots may not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.interpolate as ip

from jittape.errors import TraceError
from jittape.functions.creation import as_array, on_tape
from jittape.functions.gather import take
from jittape.functions.linalg import inexact
from jittape.ops.declare import original as own
from jittape.scipy.grids import fixed
from jittape.scipy.patches import inner
from jittape.tracing.buffers import holds
from jittape.tracing.recorder import here


def _traced(x: Any) -> bool:
    return holds([x])


def _slot(p: Any) -> str:
    """The attribute that holds the coefficients; `c` may be a property that refuses tracers."""
    return "_c" if hasattr(inner(p), "_c") else "c"


_C = _slot(ip.PPoly(np.zeros((1, 1)), np.arange(2.0)))
_SPLINE_C = _slot(ip.BSpline(np.arange(2.0), np.zeros(1), 0))


def _axis_last(y: Any, x_ndim: int, axis: int) -> Any:
    """Results (x..., rest...) with the axes of x in the place of `axis` of the values."""
    if not axis:
        return y
    order = list(range(y.ndim))
    order = order[x_ndim : x_ndim + axis] + order[:x_ndim] + order[x_ndim + axis :]
    return np.transpose(y, order)


# -- piecewise polynomials -----------------------------------------------------------------------


def _factor(power: int, nu: int) -> float:
    """d^nu/ds^nu s^power = factor s^(power - nu)"""
    return float(np.prod(np.arange(power - nu + 1, power + 1))) if power >= nu else 0.0


def evaluate_polynomial(c: Any, knots: Any, x: Any, nu: int, extrapolate: Any) -> Any:
    """sum_k c[k, i] (x - knots[i])^(n - 1 - k), or its nu-th derivative, i being the interval of x.

    c: (n, m, ...); knots: (m + 1,), ascending; x: any shape. Returns x.shape + c.shape[2:].
    """
    if nu < 0:
        raise TraceError(f"{here()}: antiderivatives of traced piecewise polynomials are refused")
    c, x = on_tape(c), as_array(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    if extrapolate == "periodic":
        x = knots[0] + np.mod(x - knots[0], knots[-1] - knots[0])
    m, n = c.shape[1], c.shape[0]
    at = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, m - 1)
    tail = (1,) * (c.ndim - 2)
    s = np.reshape(x - take(knots, at), (*x.shape, *tail))
    y: Any = np.zeros((*x.shape, *c.shape[2:]), c.dtype) if nu >= n else None
    for k in range(n - nu):
        term = c[k][at] * _factor(n - 1 - k, nu) if nu else c[k][at]
        y = term if y is None else y * s + term
    if n - nu == 1:
        y = y + s * 0.0  # (NaN of a NaN)
    if not extrapolate:
        outside = np.reshape((x < knots[0]) | (x > knots[-1]), s.shape)
        y = np.where(outside, np.nan, y)
    return y


def polynomial_call(self: Any, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
    fixed("a piecewise polynomial", self.x)
    if not isinstance(self, ip.PPoly) or self.x[-1] < self.x[0]:
        raise TraceError(
            f"{here()}: piecewise polynomials in the Bernstein basis and those of descending knots "
            "are not recorded; use PPoly with ascending ones"
        )
    x = as_array(x)
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    y = evaluate_polynomial(getattr(inner(self), _C), self.x, x, nu, extrapolate)
    return _axis_last(y, x.ndim, self.axis)


def cubic_spline(
    self: Any, x: Any, y: Any, axis: int = 0, bc_type: Any = "not-a-knot", extrapolate: Any = None
) -> None:
    fixed("CubicSpline", x)
    (y,) = inexact(y)
    if not isinstance(bc_type, str):
        names = [b for b in bc_type if isinstance(b, str)]
        if len(names) != 2:
            raise TraceError(
                f"{here()}: CubicSpline of traced values is recorded for conditions by name "
                "('natural', 'clamped', 'not-a-knot', 'periodic'), not by values of derivatives"
            )
    values = np.moveaxis(y, axis, 0)
    n = values.shape[0]
    basis = np.eye(n)
    if bc_type == "periodic":
        if not bool(np.allclose(values[0], values[-1], rtol=1e-15, atol=1e-15)):
            raise ValueError("The first and last `y` point along axis 0 must be identical")
        basis, values = np.vstack([basis[:-1, :-1], basis[:1, :-1]]), values[:-1]
    original = ip.CubicSpline(np.asarray(x), basis, 0, bc_type, extrapolate)
    c = np.tensordot(original.c, values, axes=1)
    _become(self, original, c, axis % y.ndim)


def _become(self: Any, like: Any, c: Any, axis: int) -> None:
    """Make self the piecewise polynomial `like`, with other coefficients."""
    for name in vars(type(like).__mro__[-2]).get("__slots__", ()):
        setattr(self, name, getattr(like, name))
    vars(self).update(vars(like))
    setattr(inner(self), _C, c)
    inner(self).axis = axis


def hermite(self: Any, x: Any, y: Any, dydx: Any, axis: int = 0, extrapolate: Any = None) -> None:
    fixed("CubicHermiteSpline", x)
    y, dydx = inexact(y, dydx)
    x = np.asarray(x, np.float64)
    c = _hermite_coefficients(x, np.moveaxis(y, axis, 0), np.moveaxis(dydx, axis, 0))
    _become(self, _on(x, extrapolate), c, axis % y.ndim)


def _on(x: np.ndarray, extrapolate: Any) -> Any:
    """A cubic piecewise polynomial on these knots; raises what SciPy raises of them."""
    return ip.PPoly(np.zeros((4, x.size - 1)), x, True if extrapolate is None else extrapolate)


def _hermite_coefficients(x: np.ndarray, y: Any, d: Any) -> Any:
    """C. de Boor, A Practical Guide to Splines (1978), IV."""
    h = np.reshape(np.diff(x), (-1, *(1,) * (y.ndim - 1)))
    slope = np.diff(y, axis=0) / h
    t = (d[:-1] + d[1:] - 2 * slope) / h
    return np.stack([t / h, (slope - d[:-1]) / h - t, d[:-1], y[:-1]])


def pchip(self: Any, x: Any, y: Any, axis: int = 0, extrapolate: Any = None) -> None:
    fixed("PchipInterpolator", x)
    (y,) = inexact(y)
    x = np.asarray(x, np.float64)
    values = np.moveaxis(y, axis, 0)
    c = _hermite_coefficients(x, values, _pchip_slopes(x, values))
    _become(self, _on(x, extrapolate), c, axis % y.ndim)


def _pchip_slopes(x: np.ndarray, y: Any) -> Any:
    """F. Fritsch, J. Butland (1984): weighted harmonic means, 0 at extrema."""
    h = np.reshape(np.diff(x), (-1, *(1,) * (y.ndim - 1)))
    m = np.diff(y, axis=0) / h
    if y.shape[0] == 2:
        return np.concatenate([m, m])
    first, second = m[:-1], m[1:]
    flat = (np.sign(first) != np.sign(second)) | (first == 0) | (second == 0)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    one, two = np.where(flat, 1.0, first), np.where(flat, 1.0, second)
    inner = np.where(flat, 0.0, (w1 + w2) / (w1 / one + w2 / two))
    ends = _pchip_end(h[0], h[1], m[0], m[1]), _pchip_end(h[-1], h[-2], m[-1], m[-2])
    return np.concatenate([ends[0][None], inner, ends[1][None]])


def _pchip_end(h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    """One-sided three-point estimate, which keeps the shape (C. Moler, NCM, 3.4)."""
    d = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    wrong = np.sign(d) != np.sign(m0)
    steep = (np.sign(m0) != np.sign(m1)) & (np.abs(d) > 3.0 * np.abs(m0))
    return np.where(wrong, 0.0, np.where(steep, 3.0 * m0, d))


# -- B-splines -----------------------------------------------------------------------------------


def _power_basis(t: np.ndarray, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(coefficients (k + 1, m, n) of n basis functions as piecewise polynomials, knots)."""
    found = [ip.PPoly.from_spline((t, row, k)) for row in np.eye(n)]
    # (intervals of no length have no points, and break the search)
    knots = found[0].x
    kept = np.flatnonzero(np.diff(knots) > 0)
    c = np.stack([p.c[:, kept] for p in found], axis=-1)
    return c, np.append(knots[kept], knots[kept[-1] + 1])


def spline_call(self: Any, x: Any, nu: int = 0, extrapolate: Any = None) -> Any:
    fixed("BSpline", self.t)
    x, k = as_array(x), self.k
    n = len(self.t) - k - 1
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    basis, knots = _power_basis(np.asarray(self.t), k, n)
    # beyond the base interval its first and last pieces go on
    inside = (knots >= self.t[k]) & (knots <= self.t[n])
    first, last = np.flatnonzero(inside)[[0, -1]]
    own = getattr(inner(self), _SPLINE_C)
    c = np.tensordot(basis[:, first:last], as_array(own)[:n], axes=1)
    y = evaluate_polynomial(c, knots[first : last + 1], x, nu, extrapolate)
    return _axis_last(y, x.ndim, self.axis)


def make_interp_spline(
    x: Any, y: Any, k: int = 3, t: Any = None, bc_type: Any = None, axis: int = 0,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """The interpolating B-spline of traced values. As scipy.interpolate.make_interp_spline."""
    fixed("make_interp_spline", x, t)
    if bc_type is not None and not isinstance(bc_type, str):
        raise TraceError(
            f"{here()}: make_interp_spline of traced values is recorded for conditions by name, "
            "not by values of derivatives"
        )
    (y,) = inexact(y)
    values = np.moveaxis(y, axis, 0)
    original = getattr(ip.make_interp_spline, "original", ip.make_interp_spline)
    if bc_type == "periodic":
        raise TraceError(f"{here()}: periodic B-splines of traced values are not recorded")
    made = original(np.asarray(x), np.eye(values.shape[0]), k, t, bc_type, 0, check_finite)
    c = np.tensordot(made.c, values, axes=1)
    found = object.__new__(ip.BSpline)
    vars(found).update(vars(made))
    setattr(inner(found), _SPLINE_C, c)
    inner(found).axis = axis % y.ndim
    return found


def splev(x: Any, tck: Any, der: int = 0, ext: int = 0) -> Any:
    """A spline (t, c, k) or BSpline at x. As scipy.interpolate.splev; ext is 0 or 1."""
    if ext not in (0, 1):
        raise TraceError(f"{here()}: splev with ext={ext} is not recorded; use 0 or 1")
    t, c, k = (tck.t, tck.c, tck.k) if isinstance(tck, ip.BSpline) else tck
    if isinstance(c, list):
        return [splev(x, (t, part, k), der, ext) for part in c]
    x = as_array(x)
    y = spline_call(_Spline(t, c, k), x, der, True)
    return y if ext == 0 else np.where((x < t[k]) | (x > t[len(t) - k - 1]), 0.0, y)


class _Spline:
    """What `spline_call` reads of a BSpline."""

    extrapolate = True
    axis = 0

    def __init__(self, t: Any, c: Any, k: int):
        self.t, self.k = t, k
        setattr(self, _SPLINE_C, c)


# -- interp1d ------------------------------------------------------------------------------------


_Interpolator1D = ip.interp1d.__mro__[1]
_interpolator_call = own(vars(_Interpolator1D)["__call__"])


def interp1d_init(
    self: Any, x: Any, y: Any, kind: Any = "linear", axis: int = -1, copy: bool = True,
    bounds_error: Any = None, fill_value: Any = np.nan, assume_sorted: bool = False,
) -> None:  # fmt: skip
    """interp1d of traced values: of zeros first, for all that does not depend on them."""
    fixed("interp1d", x)
    (y,) = inexact(y)
    x = np.asarray(x)
    zeros = np.zeros(y.shape, y.dtype)
    rest = (kind, axis, True, bounds_error, fill_value, assume_sorted)
    vars(ip.interp1d)["__init__"].__wrapped__(self, x, zeros, *rest)
    if not assume_sorted:
        y = np.take(y, np.argsort(x, kind="mergesort"), axis=axis)
    self.y = y
    self._y = np.reshape(np.moveaxis(y, axis, 0), (x.size, -1))
    if getattr(self, "_spline", None) is not None:
        self._spline = make_interp_spline(self.x, self._y, self._spline.k)


def interp1d_call(self: Any, x: Any) -> Any:
    """interp1d at traced points, or of traced values."""
    if not isinstance(self, ip.interp1d):
        return _interpolator_call(self, x)
    fixed("interp1d", self.x)
    x, knots, kind = as_array(x), self.x, self._kind
    values = on_tape(self._y)  # (n, rest)
    spline = getattr(self, "_spline", None)
    if kind == "linear":
        at = np.clip(np.searchsorted(knots, x), 1, len(knots) - 1)
        low, high = take(knots, at - 1), take(knots, at)
        y_low, y_high = values[at - 1], values[at]
        share = np.expand_dims(x - low, -1) / np.expand_dims(high - low, -1)
        y = y_low + (y_high - y_low) * share
    elif spline is not None:
        y = spline_call(spline, x)
        y = np.reshape(y, (*x.shape, -1))
    else:
        raise TraceError(
            f"{here()}: interp1d with kind={kind!r} is not recorded; index the values by "
            "np.searchsorted(knots, x)"
        )
    if not self._extrapolate:
        below, above = x < knots[0], x > knots[-1]
        if self.bounds_error and bool(np.any(below | above)):
            raise ValueError("A value in x_new is outside the interpolation range.")
        y = np.where(np.expand_dims(below, -1), self._fill_value_below, y)
        y = np.where(np.expand_dims(above, -1), self._fill_value_above, y)
    y = np.reshape(y, (*x.shape, *self._y_extra_shape))
    return _axis_last(y, x.ndim, self._y_axis)
