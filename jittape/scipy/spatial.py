"""scipy.spatial.distance on tracers: distances between all pairs of rows.

The definitions are SciPy's. The Euclidean distance of equal points has gradient 0, as norm at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jittape.errors import TraceError
from jittape.functions.linalg import inexact
from jittape.functions.reductions import root
from jittape.tracing.recorder import here


def _sum(x: Any, w: Any) -> Any:
    return np.sum(x if w is None else x * w, axis=-1)


def _minkowski(u: Any, v: Any, p: Any = 2.0, w: Any = None) -> Any:
    size = np.abs(u - v)
    if isinstance(p, (int, float)):
        if p == 1:
            return _sum(size, w)
        if p == 2:
            return root(_sum(np.square(size), w))
        if np.isinf(p):
            return np.max(size, axis=-1)
    total = _sum(size**p, w)
    null = total == 0
    return np.where(null, 0.0, np.where(null, 1.0, total) ** (1.0 / p))


def _cosine(u: Any, v: Any, w: Any = None) -> Any:
    if w is not None:
        w = w / np.sum(w)
    return 1.0 - _sum(u * v, w) / np.sqrt(_sum(u * u, w) * _sum(v * v, w))


def _correlation(u: Any, v: Any, w: Any = None, centered: bool = True) -> Any:
    if not centered:
        return _cosine(u, v, w)
    share = 1.0 / u.shape[-1] if w is None else w / np.sum(w)
    mean_u, mean_v = (np.sum(x * share, axis=-1, keepdims=True) for x in (u, v))
    return _cosine(u - mean_u, v - mean_v, w)


def _canberra(u: Any, v: Any, w: Any = None) -> Any:
    size = np.abs(u) + np.abs(v)
    null = size == 0
    return _sum(np.where(null, 0.0, np.abs(u - v) / np.where(null, 1.0, size)), w)


def _jensenshannon(u: Any, v: Any, base: Any = None) -> Any:
    p, q = (x / np.sum(x, axis=-1, keepdims=True) for x in (u, v))
    m = (p + q) / 2.0
    total = np.sum(_relative(p, m) + _relative(q, m), axis=-1)
    total = total if base is None else total / np.log(base)
    return root(np.maximum(total, 0.0) / 2.0)


def _relative(p: Any, q: Any) -> Any:
    null = p == 0
    return np.where(null, 0.0, p * np.log(np.where(null, 1.0, p) / np.where(null, 1.0, q)))


def _mahalanobis(u: Any, v: Any, VI: Any) -> Any:
    d = u - v
    return root(np.sum(np.matmul(d, VI) * d, axis=-1))


_METRICS: dict[str, Callable] = {
    "euclidean": lambda u, v, w=None: root(_sum(np.square(u - v), w)),
    "sqeuclidean": lambda u, v, w=None: _sum(np.square(u - v), w),
    "cityblock": lambda u, v, w=None: _sum(np.abs(u - v), w),
    "chebyshev": lambda u, v, w=None: np.max(
        np.abs(u - v) if w is None else np.abs(u - v) * (np.asarray(w) > 0), axis=-1
    ),
    "minkowski": _minkowski,
    "cosine": _cosine,
    "correlation": _correlation,
    "canberra": _canberra,
    "braycurtis": lambda u, v, w=None: _sum(np.abs(u - v), w) / _sum(np.abs(u + v), w),
    "hamming": lambda u, v, w=None: (
        np.mean((u != v) + 0.0, axis=-1) if w is None else _sum((u != v) + 0.0, w) / np.sum(w)
    ),
    "jensenshannon": _jensenshannon,
    "seuclidean": lambda u, v, V: root(np.sum(np.square(u - v) / V, axis=-1)),
    "mahalanobis": _mahalanobis,
}
_SHORT = {"l2": "euclidean", "euclid": "euclidean", "l1": "cityblock", "manhattan": "cityblock",
          "sqeuclid": "sqeuclidean", "cheby": "chebyshev", "linf": "chebyshev", "cos": "cosine",
          "mi": "minkowski"}  # fmt: skip


def _metric(name: str, metric: Any) -> Callable:
    if callable(metric):
        key = getattr(metric, "__name__", "")
    else:
        key = str(metric).lower()
        key = _SHORT.get(key, key)
    found = _METRICS.get(key)
    if found is None:
        raise TraceError(
            f"{here()}: {name} with metric={metric!r} is not recorded; use one of "
            f"{', '.join(sorted(_METRICS))}"
        )
    return found


def _points(name: str, x: Any) -> Any:
    if x.ndim != 2:
        raise ValueError(f"{name} must be a 2-dimensional array.")
    return x


def cdist(XA: Any, XB: Any, metric: Any = "euclidean", *, out: None = None, **kwargs: Any) -> Any:
    """Distances (m, n) between the rows of XA (m, d) and XB (n, d). As
    scipy.spatial.distance.cdist; in memory, m n d numbers.

    Raises ValueError where the shapes do not match.
    """
    distance = _metric("cdist", metric)
    a, b = inexact(XA, XB)
    a, b = _points("XA", a), _points("XB", b)
    if a.shape[1] != b.shape[1]:
        raise ValueError("XA and XB must have the same number of columns")
    options = _spread(metric, kwargs, lambda: np.concatenate([a, b]))
    return distance(a[:, None, :], b[None, :, :], **options)


def pdist(X: Any, metric: Any = "euclidean", *, out: None = None, **kwargs: Any) -> Any:
    """Distances between the rows i < j of X (m, d), one after another: (m (m - 1) / 2,). As
    scipy.spatial.distance.pdist."""
    distance = _metric("pdist", metric)
    (x,) = inexact(X)
    x = _points("X", x)
    i, j = np.triu_indices(x.shape[0], 1)
    return distance(x[i], x[j], **_spread(metric, kwargs, lambda: x))


def _spread(metric: Any, options: dict, points: Callable) -> dict:
    """V and VI where they are not given: those of all points, as SciPy takes them."""
    key = getattr(metric, "__name__", None) or str(metric).lower()
    if key == "seuclidean" and options.get("V") is None:
        return {"V": np.var(points(), axis=0, ddof=1)}
    if key == "mahalanobis" and options.get("VI") is None:
        return {"VI": np.linalg.inv(np.cov(points().T)).T}
    return options


def squareform(X: Any, force: str = "no", checks: bool = True) -> Any:
    """The symmetric matrix of a vector of distances, or the vector of a matrix. As
    scipy.spatial.distance.squareform; symmetry is not checked."""
    (x,) = inexact(X)
    if x.ndim == 1:
        n = int(np.ceil(np.sqrt(x.shape[0] * 2)))
        if n * (n - 1) != x.shape[0] * 2:
            raise ValueError("Incompatible vector size. It must be a binomial coefficient")
        place = np.full((max(n, 1), max(n, 1)), x.shape[0])
        i, j = np.triu_indices(max(n, 1), 1)
        place[i, j] = place[j, i] = np.arange(x.shape[0])
        return np.append(x, 0.0)[place]
    if x.ndim != 2 or x.shape[0] != x.shape[1]:
        raise ValueError("The matrix argument must be square.")
    return x[np.triu_indices(x.shape[0], 1)]
