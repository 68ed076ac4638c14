"""Polynomials from roots and their quotients, np.kaiser and its Bessel function, histograms of
several variables: compositions as NumPy writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.creation import as_array
from jittape.ops.declare import Case
from jittape.tracing.dispatch import implements
from jittape.tracing.recorder import here
from jittape.tracing.tracer import Tracer


@implements(
    np.poly,
    cases=(Case(((3,),)), Case((np.array([[2.0, 0.5], [0.3, 1.0]]),), name="matrix")),
    kinks="whether complex roots come in pairs is guarded",
)
def poly(seq_of_zeros: Any) -> Any:
    z = np.atleast_1d(as_array(seq_of_zeros))
    if z.ndim == 2 and z.shape[0] == z.shape[1] and z.shape[0]:
        z = np.linalg.eigvals(z)
    elif z.ndim != 1:
        raise ValueError("input must be 1d or non-empty square 2d array.")
    if not z.size:
        return 1.0
    if z.dtype.kind not in "fc":
        z = z.astype(np.float64)
    a = np.ones(1, z.dtype)
    for k in range(z.size):
        a = np.convolve(a, np.stack([np.ones((), z.dtype), -z[k]]))
    if z.dtype.kind == "c" and bool(np.all(np.sort(z) == np.sort(np.conjugate(z)))):
        a = np.real(a)
    return a


@implements(np.polydiv, cases=(Case(((4,), np.array([2.0, 1.0]))),))
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    u, v = np.atleast_1d(as_array(u)) + 0.0, np.atleast_1d(as_array(v)) + 0.0
    u = u.astype(np.result_type(u.dtype, v.dtype))
    m, n = u.size - 1, v.size - 1
    # (rounded as by NumPy: which elements of the remainder vanish decides about its length)
    q, r, scale = [], u, 1.0 / v[0]
    for k in range(m - n + 1):
        q.append(scale * r[k])
        r = r - np.pad(q[-1] * v, (k, m - n - k))
    quotient = np.stack(q) if q else np.zeros(1, u.dtype)
    while r.shape[-1] > 1 and bool(np.allclose(r[0], 0, rtol=1e-14)):
        r = r[1:]
    return quotient, r


@implements(
    np.i0, cases=(Case(((3,),)), Case((np.array([0.0, 7.5, 9.0, -12.0]),), name="branches"))
)
def i0(x: Any) -> Any:
    """NumPy's two Chebyshev series, of whose argument only the sign at 0 is chosen (they are even
    there to the last digit)."""
    x = np.atleast_1d(as_array(x)) if isinstance(x, list) else as_array(x)
    if x.dtype.kind == "c":
        raise TypeError("i0 not supported for complex values")
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    x = np.where(x < 0, -x, x)
    near = x <= 8.0
    small, large = np.where(near, x, 1.0), np.where(near, 9.0, x)
    series: Any = np.lib._function_base_impl  # type: ignore[attr-defined]
    return np.where(near, series._i0_1(small), series._i0_2(large))


@implements(np.kaiser, cases=(Case((4, 2.5)), Case((1, 2.0), name="one")))
def kaiser(M: Any, beta: Any) -> Any:
    m = int(M)
    if m == 1:
        return np.ones(1)
    n = (np.arange(0, m) - (m - 1) / 2.0) / ((m - 1) / 2.0)
    beta = as_array(beta)
    return i0(beta * np.sqrt(1 - n**2.0)) / i0(beta)


_XY = np.array([[0.1, 0.4, 0.9, 1.6], [1.0, 0.2, 0.3, 0.9]]).T


@implements(
    np.histogramdd,
    cases=(Case((_XY, [2, 3], None, None, (4,)), name="weights"),),
    kinks="by the weights; 0 by the positions",
)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    if isinstance(sample, (list, tuple)):
        columns = [as_array(c) for c in sample]
    else:
        a = as_array(sample)
        columns = [a[:, k] for k in np.arange(a.shape[1])]
    if any(isinstance(c, Tracer) for c in columns):
        columns = [np.ravel(c) for c in columns]
    d = len(columns)
    bins = [bins] * d if np.ndim(bins) == 0 else list(bins)
    if len(bins) != d:
        raise ValueError("The dimension of bins must be equal to the dimension of the sample x.")
    ranges = [None] * d if range is None else list(range)
    edges: list[Any] = []
    inside: Any = True
    place: Any = 0
    for c, b, r in zip(columns, bins, ranges, strict=True):
        _, e = np.histogram(c, b, r)
        n = len(e) - 1
        k = np.searchsorted(e, c, side="right") - 1
        k = np.where(c == e[-1], n - 1, k)
        inside = inside & (k >= 0) & (k < n)
        place = place * n + np.clip(k, 0, n - 1)
        edges.append(e)
    shape = tuple(len(e) - 1 for e in edges)
    kept: Any = np.where(inside, 1.0 if weights is None else np.ravel(as_array(weights)), 0.0)
    counts: Any = np.reshape(np.bincount(place, weights=kept, minlength=int(np.prod(shape))), shape)
    if density:
        total = np.sum(counts)
        for k, e in enumerate(edges):
            counts = counts / np.reshape(np.diff(e), [-1 if i == k else 1 for i in np.arange(d)])
        counts = counts / total
    return counts, edges


@implements(
    np.histogram2d,
    cases=(Case((_XY[:, 0], _XY[:, 1], 2, None, None, (4,)), name="weights"),),
    kinks="by the weights; 0 by the positions",
)
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    x, y = as_array(x), as_array(y)
    if len(x) != len(y):
        raise ValueError("x and y must have the same length.")
    if np.ndim(bins) == 1 and len(bins) not in (1, 2):
        bins = [bins, bins]
    counts, edges = histogramdd([x, y], bins, range, density, weights)
    return counts, edges[0], edges[1]


@implements(np.histogram_bin_edges, cases=(Case(((4,), 3)),), kinks="as min and max")
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    if isinstance(bins, str):
        raise TraceError(f"{here()}: histogram_bin_edges with bins={bins!r} is not recorded")
    return np.histogram(as_array(a), bins, range)[1]
