"""Polynomials fitted to points, their roots, and histograms: compositions as NumPy writes them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here

_AT = np.array([0.1, 0.4, 0.9, 1.6])


@implements(
    np.polyfit,
    cases=(
        Case(((4,), (4,), 1)),
        Case((_AT, (4, 2), 2), name="two sets"),
        Case((_AT, (4,), 1), {"w": np.array([1.0, 2.0, 1.0, 0.5])}, "weights"),
        Case((_AT, (4,), 1), {"cov": True}, "covariance"),
    ),
)
def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None,
    cov: Any = False,
) -> Any:  # fmt: skip
    if deg < 0:
        raise ValueError("expected deg >= 0")
    x, y = as_array(x) + 0.0, as_array(y) + 0.0
    if x.ndim != 1:
        raise TypeError("expected 1D vector for x")
    if y.ndim < 1 or y.ndim > 2 or not x.size:
        raise TypeError("expected 1D or 2D array for y")
    if x.shape[0] != y.shape[0]:
        raise TypeError("expected x and y to have same length")
    order = int(deg) + 1
    rcond = x.size * np.finfo(x.dtype).eps if rcond is None else rcond
    left, right = np.vander(x, order), y
    if w is not None:
        weights = as_array(w) + 0.0
        left = left * weights[:, None]
        right = right * (weights[:, None] if y.ndim == 2 else weights)
    scale = np.sqrt((left * left).sum(axis=0))
    c, residuals, rank, s = np.linalg.lstsq(left / scale, right, rcond)
    if rank != order:
        warnings.warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning, stacklevel=2)
    c = (c.T / scale).T
    if full:
        return c, residuals, rank, s, rcond
    if not cov:
        return c
    base = np.linalg.inv(np.matmul(left.T, left))
    if cov == "unscaled":
        factor: Any = 1.0
    elif x.size <= order:
        raise ValueError("the number of data points must exceed order to scale the covariance")
    else:
        factor = residuals / (x.size - order)
    return c, base * factor if y.ndim == 1 else base[:, :, None] * factor


@implements(np.roots, cases=(Case((np.array([1.0, -4.0, 1.0]),)),))
def roots(p: Any) -> Any:
    p = np.atleast_1d(as_array(p))
    if p.ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    present = np.asarray(np.nonzero(p)[0])
    if not present.size:
        return np.array([])
    zeros = p.size - int(present[-1]) - 1
    p = p[int(present[0]) : int(present[-1]) + 1]
    if p.dtype.kind not in "fc":
        p = p.astype(float)
    if p.size == 1:
        return np.zeros(zeros, p.dtype)
    companion = np.vstack([(-p[1:] / p[0])[None], np.eye(p.size - 2, p.size - 1, dtype=p.dtype)])
    from jittape.functions.linalg import real_if_possible  # which most fits do not need

    found = real_if_possible(np.linalg.eigvals(companion), companion)
    return np.hstack([found, np.zeros(zeros, found.dtype)]) if zeros else found


@implements(
    np.histogram,
    cases=(
        Case((_AT, 3, None, None, (4,)), name="weights"),
        Case(
            (_AT, [0.0, 0.5, 1.0, 2.0], None, True, np.array([1.0, 2.0, 0.5, 1.5])), name="density"
        ),
    ),
    kinks="by the weights, and by traced ends of the range; 0 by the positions",
)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    if isinstance(bins, str):
        raise TraceError(f"{here()}: histogram with bins={bins!r} is not recorded by jittape")
    a = np.ravel(as_array(a))
    bins = as_array(bins)
    if bins.ndim == 0:
        if range is not None:
            first, last = range
        else:
            first, last = (a.min(), a.max()) if a.size else (0, 1)
        if first == last:
            first, last = first - 0.5, last + 0.5
        edges = np.linspace(first, last, int(bins) + 1)
    else:
        edges = bins
    n = edges.size - 1
    place = np.searchsorted(edges, a, side="right") - 1
    place = np.where(a == edges[-1], n - 1, place)
    inside = (a >= edges[0]) & (a <= edges[-1])
    place = np.clip(place, 0, n - 1)
    one: Any = 1.0 if weights is None else np.ravel(as_array(weights))
    kept = np.where(inside, one, 0.0)
    counts = np.bincount(place, weights=kept, minlength=n)
    if weights is not None:
        counts = counts.astype(one.dtype)
    if density:
        return counts / np.diff(edges).astype(np.float64) / counts.sum(), edges
    return (counts.astype(np.intp) if weights is None else counts), edges


@implements(np.real_if_close, cases=(Case(((3,),)), Case((np.array([1 + 1j, 2.0]),))))
def real_if_close(a: Any, tol: float = 100) -> Any:
    a = as_array(a)
    if a.dtype.kind != "c":
        return a
    bound = tol * np.finfo(a.dtype).eps if tol > 1 else tol
    return np.real(a) if np.all(np.absolute(np.imag(a)) < bound) else a
